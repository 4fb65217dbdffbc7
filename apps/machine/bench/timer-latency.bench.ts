/**
 * How late a guest finds its timer: a program without an operating system sets the local APIC's timer (TSC deadline) again and again, halts, and
 * notes how far the TSC is behind the deadline when the interrupt comes. Beside it, in the same minute, how late a timer of the host of whole milliseconds
 * is for such a moment. Also what an idle Linux costs. `pnpm --filter @vm/machine bench:timers`
 */
import { readFile } from "node:fs/promises";
import { Assembler, al, dx, eax, ecx, edx, mem, r8, r9, r10, rax, rcx, rdx, rsp } from "@vm/asm";
import { ensureGuests } from "@vm/guests";
import { createBareMachine, createMachine } from "../src/index.js";
import { debugExit, elf, ORG } from "../test/bare-images.js";

const SHOTS = 400;
const APIC = 0xfee00000;
const IDT = 0x200000;
const VECTOR = 0x40;
const CODE_SELECTOR = 0x10;
const DEADLINE_MSR = 0x6e0;
const PERIODS_US = [137, 1000, 1370, 3370, 10_370] as const;
const IDLE_SECONDS = 10;

/** Writes SHOTS doublewords on COM1: ns between deadline and interrupt. */
function program(periodNs: number): Uint8Array {
  const a = new Assembler({ org: ORG, bits: 64 });
  const handler = a.label("handler");
  a.lea(rax, mem(handler));
  a.mov(r8, IDT + 16 * VECTOR);
  a.mov(edx, eax)
    .and(edx, 0xffff)
    .or(edx, CODE_SELECTOR << 16)
    .mov(mem(r8, { size: 4 }), edx);
  a.and(eax, 0xffff0000 | 0)
    .or(eax, 0x8e00)
    .mov(mem(r8, { disp: 4, size: 4 }), eax);
  a.mov(mem(r8, { disp: 8, size: 8 }), 0);
  a.sub(rsp, 16)
    .mov(mem(rsp, { disp: 6, size: 2 }), 0xfff)
    .mov(mem(rsp, { disp: 8, size: 8 }), IDT)
    .lidt(mem(rsp, { disp: 6 }));
  a.mov(eax, APIC).mov(r10, rax);
  a.mov(mem(r10, { disp: 0xf0, size: 4 }), 0x1ff);
  a.mov(mem(r10, { disp: 0x320, size: 4 }), 0x40000 | VECTOR);
  a.mov(r9, SHOTS);
  const again = a.here("again");
  a.rdtsc().shl(rdx, 32).or(rax, rdx).add(rax, periodNs).mov(r8, rax);
  a.mov(rdx, rax).shr(rdx, 32).mov(ecx, DEADLINE_MSR).wrmsr();
  a.sti().hlt().cli();
  a.rdtsc().shl(rdx, 32).or(rax, rdx).sub(rax, r8).mov(rcx, rax);
  a.mov(edx, 0x3f8);
  for (let k = 0; k < 4; k++) a.mov(eax, ecx).out(dx, al).shr(ecx, 8);
  a.dec(r9).jnz(again);
  debugExit(a, 0);
  a.hlt();
  a.bind(handler)
    .mov(mem(r10, { disp: 0xb0, size: 4 }), 0)
    .iretq();
  return elf({ bits: 64, code: a.assemble() });
}

async function latencies(periodUs: number): Promise<{ us: number[]; cpu: number }> {
  const machine = await createBareMachine({ image: program(1000 * periodUs), memory: 16 * 2 ** 20 });
  const bytes: number[] = [];
  machine.console.onOutput((chunk) => void bytes.push(...chunk));
  const before = process.cpuUsage();
  const began = performance.now();
  const exit = await machine.run();
  if (exit.reason !== "debug-exit") throw new Error(`the program ended otherwise: ${JSON.stringify(exit)}`);
  const { user, system } = process.cpuUsage(before);
  const words = new Uint32Array(Uint8Array.from(bytes).buffer);
  return {
    us: [...words].map((ns) => ns / 1000).sort((x, y) => x - y),
    cpu: (user + system) / 1000 / (performance.now() - began),
  };
}

/** How late `setTimeout` of whole milliseconds is, us. */
async function hostTimers(periodUs: number): Promise<number[]> {
  const late: number[] = [];
  for (let k = 0; k < SHOTS; k++) {
    const until = performance.now() + periodUs / 1000;
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(periodUs / 1000)));
    late.push(1000 * (performance.now() - until));
  }
  return late.sort((x, y) => x - y);
}

for (const period of PERIODS_US) {
  const host = await hostTimers(period);
  const { us, cpu } = await latencies(period);
  const at = (of: readonly number[], share: number): number => of[Math.floor(share * (of.length - 1))] ?? 0;
  const shown = [0.5, 0.9, 0.99].map(
    (share) => `${at(us, share).toFixed(0)} (${(at(us, share) / at(host, share)).toFixed(2)} of the host's)`,
  );
  console.log(
    `every ${period} us: us late in the median, 9 and 99 of 100: ${shown.join(", ")}; ${(100 * cpu).toFixed(0)} % CPU`,
  );
}

const guests = await ensureGuests();
const machine = await createMachine({
  kernel: await readFile(guests.kernel("6.1")),
  initrd: await readFile(guests.initrd("6.1")),
});
let seen = "";
let ready = (): void => undefined;
machine.console.onOutput((chunk) => {
  seen += new TextDecoder("latin1").decode(chunk);
  if (seen.includes("# ")) ready();
});
const prompt = new Promise<void>((resolve) => {
  ready = resolve;
});
const running = machine.run();
await prompt;
await new Promise((resolve) => setTimeout(resolve, 3000));
const before = process.cpuUsage();
const instructions = machine.stats().instructions;
await new Promise((resolve) => setTimeout(resolve, 1000 * IDLE_SECONDS));
const { user, system } = process.cpuUsage(before);
console.log(
  `an idle Linux: ${((user + system) / 1e4 / IDLE_SECONDS).toFixed(2)} % CPU, ${((machine.stats().instructions - instructions) / IDLE_SECONDS).toFixed(0)} instructions a second`,
);
machine.stop();
await running;

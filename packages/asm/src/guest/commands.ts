import type { Label } from "../label.js";
import { short } from "../label.js";
import { mem } from "../operand.js";
import { al, dx, eax, ebx, ecx, edi, edx, rax, rbx, rcx, rdx, rsi, rsp } from "../registers.js";
import { type Guest, print, qword } from "./context.js";
import { STATUS, WINDOW } from "./layout.js";
import type { Command } from "./shell.js";

/** Name, arguments and one line of help of each command. */
const HELP = [
  ["help", "", "this list"],
  ["ticks", "", "timer interrupts so far"],
  ["time", "", "time-stamp counter"],
  ["cpuid", "[LEAF [SUBLEAF]]", "processor identification"],
  ["peek", "ADDR", "read 8 bytes of memory"],
  ["poke", "ADDR VALUE", "write 8 bytes of memory"],
  ["fault", "", "provoke a page fault and survive it"],
  ["echo", "TEXT", "print TEXT"],
  ["exit", "[STATUS]", "power off"],
  ["halt", "", "power off"],
  ["reboot", "", "reset the machine"],
] as const;

type Name = (typeof HELP)[number][0];

/** Emits the commands and returns the table the shell dispatches by. */
export function emitCommands(g: Guest): readonly Command[] {
  const { a } = g;
  const code = Object.fromEntries(HELP.map(([name]) => [name, a.label(name)])) as Record<Name, Label>;
  const usage = emitUsage(g);
  emitInformation(g, code);
  emitCpuid(g, code.cpuid, usage);
  emitMemory(g, code, usage);
  emitPower(g, code, usage);
  return HELP.map(([name]) => ({ name, code: code[name] }));
}

/** Where a command goes when it cannot read its arguments. */
function emitUsage(g: Guest): Label {
  const usage = g.a.here("usage");
  print(g, "bad arguments (try: help; numbers are decimal or 0x hexadecimal)\n");
  g.a.mov(eax, STATUS.usage);
  g.a.ret();
  return usage;
}

function succeed({ a }: Guest): void {
  a.xor(eax, eax);
  a.ret();
}

function emitInformation(g: Guest, code: Record<Name, Label>): void {
  const { a, at, platform, sub } = g;
  a.bind(code.help);
  const line = ([name, args, what]: readonly string[]): string => `  ${`${name} ${args}`.padEnd(24)}${what}\n`;
  print(g, HELP.map(line).join(""));
  succeed(g);

  a.bind(code.echo);
  a.call(sub.puts);
  print(g, "\n");
  succeed(g);

  a.bind(code.ticks);
  a.mov(rax, qword(at.ticks));
  a.call(sub.putDecimal);
  print(g, " timer interrupts\n");
  succeed(g);

  // Seconds and nanoseconds: the fraction is TSC mod frequency, scaled by 10^9 over the frequency.
  a.bind(code.time);
  a.rdtsc();
  a.shl(rdx, 32);
  a.or(rax, rdx);
  a.push(rax);
  print(g, "tsc ");
  a.mov(rax, mem(rsp));
  a.call(sub.putDecimal);
  print(g, " = ");
  a.pop(rax);
  a.mov(rcx, platform.tscHz);
  a.xor(edx, edx);
  a.div(rcx);
  a.push(rdx);
  a.call(sub.putDecimal);
  print(g, ".");
  a.pop(rax);
  a.mov(ecx, 1_000_000_000);
  a.mul(rcx);
  a.mov(rcx, platform.tscHz);
  a.div(rcx);
  a.mov(ecx, 9);
  a.call(sub.putPadded);
  print(g, " s\n");
  succeed(g);
}

function emitCpuid(g: Guest, entry: Label, usage: Label): void {
  const { a, sub } = g;
  const [summary, leaf, brandless] = [a.label("summary"), a.label("leaf"), a.label("brandless")];
  /** Stores registers of a leaf as text at RSP and prints it. */
  const printText = (registers: readonly (typeof eax)[]): void => {
    a.sub(rsp, 16);
    registers.forEach((register, i) => {
      a.mov(mem(rsp, { disp: 4 * i }), register);
    });
    if (registers.length < 4) a.mov(mem(rsp, { disp: 4 * registers.length, size: 1 }), 0);
    a.mov(rsi, rsp);
    if (registers.length === 4) {
      // 16 characters without a terminator: print them one by one
      a.mov(edi, 16);
      const each = a.here("each");
      const skip = a.label("skip");
      a.lodsb();
      a.test(al, al);
      a.jz(short(skip));
      a.call(sub.putByte);
      a.bind(skip);
      a.dec(edi);
      a.jnz(short(each));
    } else a.call(sub.puts);
    a.add(rsp, 16);
  };

  a.bind(entry);
  a.push(rbx);
  a.cmp(mem(rsi, { size: 1 }), 0);
  a.jne(leaf);
  a.bind(summary);
  print(g, "vendor ");
  a.xor(eax, eax);
  a.cpuid();
  printText([ebx, edx, ecx]);
  print(g, "\n");
  a.mov(eax, 0x8000_0000);
  a.cpuid();
  a.cmp(eax, 0x8000_0004);
  a.jb(brandless);
  print(g, "brand  ");
  for (const number of [0x8000_0002, 0x8000_0003, 0x8000_0004]) {
    a.mov(eax, number);
    a.cpuid();
    printText([eax, ebx, ecx, edx]);
  }
  print(g, "\n");
  a.bind(brandless);
  const done = a.label("done");
  a.mov(eax, 1);
  a.cpuid();
  a.bt(ecx, 31); // running under a hypervisor
  a.jnc(done);
  print(g, "hypervisor ");
  a.mov(eax, 0x4000_0000);
  a.cpuid();
  printText([ebx, ecx, edx]);
  print(g, "\n");
  a.bind(done);
  a.pop(rbx);
  succeed(g);

  a.bind(leaf);
  const [read, bad] = [a.label("read"), a.label("bad")];
  a.call(sub.parseNumber);
  a.jc(bad);
  a.mov(rbx, rax);
  a.xor(eax, eax);
  a.cmp(mem(rsi, { size: 1 }), 0);
  a.je(short(read));
  a.call(sub.parseNumber);
  a.jc(bad);
  a.bind(read);
  a.mov(ecx, eax);
  a.mov(eax, ebx);
  a.cpuid();
  a.sub(rsp, 16);
  const results = [
    ["eax ", eax],
    ["ebx ", ebx],
    ["ecx ", ecx],
    ["edx ", edx],
  ] as const;
  results.forEach(([, register], i) => {
    a.mov(mem(rsp, { disp: 4 * i }), register);
  });
  results.forEach(([name], i) => {
    print(g, name);
    a.mov(eax, mem(rsp, { disp: 4 * i }));
    a.call(sub.putHex);
    print(g, "\n");
  });
  a.add(rsp, 16);
  a.pop(rbx);
  succeed(g);
  a.bind(bad);
  a.pop(rbx);
  a.jmp(usage);
}

function emitMemory(g: Guest, code: Record<Name, Label>, usage: Label): void {
  const { a, at, sub } = g;
  /** Runs `access` so that an exception in it prints itself and ends the command with `status`. */
  const guarded = (access: () => void, status: number): void => {
    const [caught, past] = [a.label("caught"), a.label("past")];
    a.lea(rax, mem(caught));
    a.mov(qword(at.recoverAt), rax);
    access();
    a.mov(qword(at.recoverAt), 0);
    a.jmp(short(past));
    a.bind(caught);
    a.call(sub.putFault);
    a.mov(eax, status);
    a.ret();
    a.bind(past);
  };

  a.bind(code.peek);
  a.call(sub.parseNumber);
  a.jc(usage);
  a.mov(rcx, rax);
  guarded(() => a.mov(rax, mem(rcx)), STATUS.failed);
  a.call(sub.putHex);
  print(g, "\n");
  succeed(g);

  a.bind(code.poke);
  a.call(sub.parseNumber);
  a.jc(usage);
  a.push(rax);
  a.call(sub.parseNumber);
  a.pop(rcx);
  a.jc(usage);
  a.mov(rdx, rax);
  guarded(() => a.mov(mem(rcx), rdx), STATUS.failed);
  succeed(g);

  a.bind(code.fault);
  a.mov(rcx, WINDOW + 0x1000n);
  guarded(() => a.mov(mem(rcx, { size: 8 }), 1), STATUS.ok);
  print(g, "no fault\n");
  a.mov(eax, STATUS.failed);
  a.ret();

  a.bind(sub.putFault);
  const [other, details] = [a.label("other"), a.label("details")];
  a.mov(rax, qword(at.faultVector));
  a.cmp(eax, 14);
  a.jne(short(other));
  print(g, "page fault: cr2 ");
  a.mov(rax, qword(at.faultAddress));
  a.call(sub.putHex);
  a.jmp(short(details));
  a.bind(other);
  print(g, "exception ");
  a.mov(rax, qword(at.faultVector));
  a.call(sub.putDecimal);
  print(g, ":");
  a.bind(details);
  for (const [name, address] of [
    [" error ", at.faultError],
    [" rip ", at.faultRip],
  ] as const) {
    print(g, name);
    a.mov(rax, qword(address));
    a.call(sub.putHex);
  }
  print(g, "\n");
  a.ret();
}

function emitPower(g: Guest, code: Record<Name, Label>, usage: Label): void {
  const { a, platform, sub } = g;
  const off = a.label("off");
  const write = (port: number, value: number | undefined): void => {
    a.mov(dx, port);
    if (value !== undefined) a.mov(al, value);
    a.out(dx, al);
  };
  const stop = (): void => {
    const forever = a.here("forever");
    a.cli();
    a.hlt();
    a.jmp(short(forever));
  };
  a.bind(code.exit);
  a.xor(eax, eax);
  a.cmp(mem(rsi, { size: 1 }), 0);
  a.je(short(off));
  a.call(sub.parseNumber);
  a.jc(usage);
  a.bind(off);
  a.mov(edi, eax);
  a.bind(sub.powerOff);
  a.mov(eax, edi);
  write(platform.statusPort, undefined);
  write(platform.sleepPort, platform.sleepValue);
  stop();

  a.bind(code.halt);
  a.xor(edi, edi);
  a.jmp(sub.powerOff);

  // The reset register; should nothing answer there, a triple fault: an IDT without gates and a breakpoint.
  a.bind(code.reboot);
  a.bind(sub.reset);
  write(platform.resetPort, platform.resetValue);
  a.sub(rsp, 16);
  a.xor(eax, eax);
  a.mov(mem(rsp), rax);
  a.mov(mem(rsp, { disp: 8 }), rax);
  a.lidt(mem(rsp));
  a.int3();
}

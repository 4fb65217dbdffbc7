import {
  type Assembler,
  ax,
  cr2,
  cs,
  dx,
  eax,
  ecx,
  edx,
  type Label,
  mem,
  r12,
  r13,
  r14,
  r14d,
  r15,
  rax,
  rcx,
  rdx,
  rsp,
} from "@vm/asm";
import { MSR_KVM_ASYNC_PF_ACK, MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT } from "@vm/async-pf";
import { describe, expect, it } from "vitest";
import { type BareOptions, createBareMachine } from "../src/index.js";
import { elfKernel } from "./elf-kernel.js";
import { ENGINE } from "./guest.js";

/** Not loaded, so that it has to come when it is switched on. */
const AREA = 0x400000;
const LATE = 0x1000000;
const CHUNKS = 6;
const VECTOR = 0x40;
const PF = 14;
const APIC_BASE = 0x1b;
const X2APIC_EOI = 0x80b;
const X2APIC_SVR = 0x80f;
const BAD = 0xee;
const SEND_ALWAYS = 2;

const wrmsr = (a: Assembler, msr: number, lo: number): void => void a.mov(ecx, msr).mov(eax, lo).xor(edx, edx).wrmsr();

/**
 * A guest at CPL 0 that touches memory which is late. Exits with the number of #PFs that told it (bits 7:0) and of interrupts (bits 15:8), or {@link BAD}.
 * @param enable bits of MSR_KVM_ASYNC_PF_EN besides ENABLED and DELIVERY_AS_INT
 */
const guest = (enable: number, interrupts: boolean) =>
  elfKernel((a) => {
    const label = (name: string): Label => a.label(name);
    const [fault, ready, bad, idt, pointer, stack] = ["fault", "ready", "bad", "idt", "pointer", "stack"].map(
      label,
    ) as Label[] as [Label, Label, Label, Label, Label, Label];
    const [wait, told, over] = ["wait", "told", "over"].map(label) as [Label, Label, Label];
    a.lea(rsp, mem(stack));
    for (const [vector, handler] of [
      [PF, fault],
      [VECTOR, ready],
    ] as const) {
      // 64-bit interrupt gate.
      a.lea(rcx, mem(idt)).lea(rax, mem(handler));
      a.mov(mem(rcx, { disp: 16 * vector, size: 2 }), ax);
      a.shr(rax, 16).mov(mem(rcx, { disp: 16 * vector + 6, size: 2 }), ax);
      a.mov(eax, cs).mov(mem(rcx, { disp: 16 * vector + 2, size: 2 }), ax);
      a.mov(mem(rcx, { disp: 16 * vector + 4, size: 2 }), 0x8e00);
    }
    a.lea(rax, mem(idt))
      .mov(mem(pointer, { disp: 2, size: 8 }), rax)
      .lidt(mem(pointer));
    wrmsr(a, APIC_BASE, 0xfee00d00);
    wrmsr(a, X2APIC_SVR, 0x1ff);
    wrmsr(a, MSR_KVM_ASYNC_PF_INT, VECTOR);
    wrmsr(a, MSR_KVM_ASYNC_PF_EN, AREA | 0b1001 | enable);
    a.xor(r12, r12).xor(r15, r15).sti();
    // The wake-all.
    const first = a.here("first");
    a.test(r15, r15).jz(first);
    if (!interrupts) a.cli();
    for (let chunk = 0; chunk < CHUNKS; chunk++) a.mov(rax, mem(LATE + 0x10000 * chunk));
    a.sti();
    a.mov(rax, r15).shl(rax, 8).or(rax, r12).jmp(over);

    // Error code, then RIP and the rest.
    a.bind(fault);
    a.cmp(mem(AREA, { size: 4 }), 1).jne(bad);
    a.cmp(mem(rsp, { size: 8 }), 0).jne(bad);
    a.mov(mem(AREA, { size: 4 }), 0)
      .inc(r12)
      .mov(r13, cr2);
    a.bind(wait).cmp(r14, r13).je(told);
    a.sti().hlt().cli().jmp(wait);
    a.bind(told).add(rsp, 8).iretq();

    a.bind(ready);
    a.push(rax).push(rcx).push(rdx);
    a.mov(r14d, mem(AREA + 4))
      .inc(r15)
      .mov(mem(AREA + 4, { size: 4 }), 0);
    wrmsr(a, X2APIC_EOI, 0);
    wrmsr(a, MSR_KVM_ASYNC_PF_ACK, 1);
    a.pop(rdx).pop(rcx).pop(rax).iretq();

    a.bind(bad).mov(eax, BAD);
    a.bind(over).mov(edx, 0xf4).out(dx, eax);
    a.hlt();
    a.align(16)
      .bind(pointer)
      .dw(16 * 256 - 1)
      .space(14);
    a.bind(idt).space(16 * 256);
    a.space(4096).bind(stack);
  });

async function run(image: Uint8Array, options: Partial<BareOptions> = {}) {
  const machine = await createBareMachine({ image, memory: 64 << 20, lateMemoryMs: 0, ...ENGINE, ...options });
  const exit = await machine.run();
  expect(machine.stats().lateMemory?.demanded).toBeGreaterThanOrEqual(CHUNKS);
  return exit.reason === "debug-exit" ? { faults: exit.code & 0xff, interrupts: exit.code >> 8 } : exit;
}

describe("memory that arrives late", () => {
  it("is told to CPL 0 with SEND_ALWAYS, each time, and the interrupt comes (statement 8)", async () => {
    expect(await run(guest(SEND_ALWAYS, true))).toEqual({ faults: CHUNKS, interrupts: CHUNKS + 1 });
  });

  it("never without (statement 7, the seed)", async () => {
    expect(await run(guest(0, true))).toEqual({ faults: 0, interrupts: 1 });
  });

  it("nor while interrupts are off (statement 9)", async () => {
    expect(await run(guest(SEND_ALWAYS, false))).toEqual({ faults: 0, interrupts: 1 });
  });

  it("nor where time is counted", async () => {
    expect(await run(guest(SEND_ALWAYS, true), { clock: "icount" })).toEqual({ faults: 0, interrupts: 1 });
  });

  it.each([-1, 60_001, Number.NaN])("%d ms are refused", async (lateMemoryMs) => {
    await expect(run(guest(0, true), { lateMemoryMs })).rejects.toMatchObject({ code: "option" });
  });
});

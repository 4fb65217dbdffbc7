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
  r11,
  r11d,
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
import { elfKernel } from "./elf-kernel.js";

/** Not loaded, so that it has to come when it is switched on. */
export const AREA = 0x400000;
export const VECTOR = 0x40;
/** What a guest exits with that found something wrong. */
export const BAD = 0xee;
/** Bit of MSR_KVM_ASYNC_PF_EN. */
export const SEND_ALWAYS = 2;
const GP = 13;
const PF = 14;
const APIC_BASE = 0x1b;
const X2APIC_EOI = 0x80b;
const X2APIC_SVR = 0x80f;

export const wrmsr = (a: Assembler, msr: number, lo: number): void =>
  void a.mov(ecx, msr).mov(eax, lo).xor(edx, edx).wrmsr();

/** Ends the machine with the code in EAX. */
export const exit = (a: Assembler): void => void a.mov(dx, 0xf4).out(dx, eax).hlt();

export interface AsyncPfGuest {
  /** Bits of MSR_KVM_ASYNC_PF_EN besides ENABLED and DELIVERY_AS_INT; null: it is not switched on. */
  readonly enable: number | null;
  /** What it does with interrupts on, when the wake-all has come. R12 and R15 are not its own. Then it exits with the counts, see {@link asyncPfGuest}. */
  readonly body: (a: Assembler, bad: Label) => void;
  /** What it does first when it is told of a miss; R8 to R11 are the handler's, and the error code is at RSP. */
  readonly told?: (a: Assembler, bad: Label) => void;
  /** What it does at a #GP, whose error code is at RSP. Default: it is bad. */
  readonly protection?: (a: Assembler) => void;
}

/**
 * A guest at CPL 0 that takes part in asynchronous page faults. Exits with the number of #PFs that told it of a miss (bits 7:0) and of interrupts (bits 15:8), or
 * {@link BAD}.
 */
export const asyncPfGuest = ({ enable, body, told, protection }: AsyncPfGuest): Uint8Array =>
  elfKernel((a) => {
    const label = (name: string): Label => a.label(name);
    const [fault, ready, general] = [label("fault"), label("ready"), label("general")];
    const [idt, pointer, stack] = [label("idt"), label("pointer"), label("stack")];
    const [wait, done, bad, over] = [label("wait"), label("done"), label("bad"), label("over")];
    a.lea(rsp, mem(stack));
    for (const [vector, handler] of [
      [GP, general],
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
    a.xor(r12, r12).xor(r15, r15);
    if (enable !== null) wrmsr(a, MSR_KVM_ASYNC_PF_EN, AREA | 0b1001 | enable);
    a.sti();
    if (enable !== null) {
      // The wake-all.
      const first = a.here("first");
      a.test(r15, r15).jz(first);
    }
    body(a, bad);
    a.mov(rax, r15).shl(rax, 8).or(rax, r12).jmp(over);

    // Error code, then RIP and the rest.
    a.bind(fault);
    a.cmp(mem(AREA, { size: 4 }), 1).jne(bad);
    a.cmp(mem(rsp, { size: 8 }), 0).jne(bad);
    told?.(a, bad);
    a.mov(mem(AREA, { size: 4 }), 0)
      .inc(r12)
      .mov(r13, cr2)
      .xor(r14, r14);
    // Its own token, or the one that wakes all.
    a.bind(wait).cmp(r14, r13).je(done).mov(r11d, 0xffff_ffff).cmp(r14, r11).je(done);
    a.sti().hlt().cli().jmp(wait);
    a.bind(done).add(rsp, 8).iretq();

    a.bind(ready);
    a.push(rax).push(rcx).push(rdx);
    a.mov(r14d, mem(AREA + 4))
      .inc(r15)
      .mov(mem(AREA + 4, { size: 4 }), 0);
    wrmsr(a, X2APIC_EOI, 0);
    wrmsr(a, MSR_KVM_ASYNC_PF_ACK, 1);
    a.pop(rdx).pop(rcx).pop(rax).iretq();

    a.bind(general);
    protection?.(a);
    a.bind(bad).mov(eax, BAD);
    a.bind(over);
    exit(a);
    a.align(16)
      .bind(pointer)
      .dw(16 * 256 - 1)
      .space(14);
    a.bind(idt).space(16 * 256);
    a.space(4096).bind(stack);
  });

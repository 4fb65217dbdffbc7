import type { Gfn, Gpa } from "../../units.js";

/** False vetoes: the effect does not happen. Any other answer, or none, lets it happen. */
// biome-ignore lint/suspicious/noConfusingVoidType: an observer that only looks returns nothing
export type Verdict = boolean | void;

/**
 * What an observer of a vCPU can intercept. Every hook is optional; an absent hook costs one test on a path that is slow anyway.
 * 64-bit values and linear addresses are unsigned bigints; a guest-physical address is a number below 2^52.
 *
 * A hook with a {@link Verdict} is called before anything has happened, and decides:
 * - nothing, or true: it happens;
 * - false: it does not. The instruction retires all the same, with the registers as the observer leaves them;
 * - `Vcpu.leave()`, whatever the answer: the instruction is left undone and `run` returns an `intercepted` exit. The next `run` starts the
 *   instruction over, and the hook is called again;
 * - an exception noted by `Vcpu.raise` and its kin: it is delivered instead.
 */
export interface VcpuHooks {
  /** MOV to CR0, CR3, CR4, CR8; LMSW and CLTS. */
  controlRegister?: (register: 0 | 3 | 4 | 8, value: bigint) => Verdict;
  /** WRMSR. */
  msrWrite?: (msr: number, value: bigint) => Verdict;
  /** RDMSR. Vetoed, EDX:EAX are the observer's. */
  msrRead?: (msr: number) => Verdict;
  /** XSETBV. */
  extendedControl?: (value: bigint) => Verdict;
  /** LGDT LIDT LLDT LTR, SGDT SIDT SLDT STR. */
  descriptorTable?: (table: "gdtr" | "idtr" | "ldtr" | "tr", write: boolean) => Verdict;
  /** CPUID. Vetoed, EAX, EBX, ECX and EDX are the observer's. */
  cpuid?: (leaf: number, subleaf: number) => Verdict;
  /** HLT. Vetoed, it is a NOP. */
  hlt?: () => Verdict;
  /** WBINVD and WBNOINVD. Vetoed or not, there is no cache to write back. */
  wbinvd?: () => Verdict;
  /** INVD. Vetoed or not, there is no cache to lose. */
  invd?: () => Verdict;
  /** MONITOR at CPL 0. True: handled; otherwise #UD follows. May leave. */
  monitor?: () => boolean;
  /** MWAIT at CPL 0. True: handled; otherwise #UD follows. May leave. */
  mwait?: () => boolean;
  /** RDPMC of counter ECX, where CR4.PCE or the CPL allows it. True: handled, EDX:EAX are the observer's; otherwise #GP(0) follows. May leave. */
  rdpmc?: (counter: number) => boolean;
  /**
   * IN, OUT, INS, OUTS: `value` is what is written, null for a read; `Vcpu.ioForm` tells which of them. Vetoed, no device is asked, and a read
   * gives all ones.
   */
  io?: (port: number, size: number, write: boolean, value: number | null) => Verdict;
  /** After a port was read. */
  ioRead?: (port: number, size: number, value: number) => void;
  /**
   * An access to memory that is not RAM, in pieces of 1, 2, 4 or 8 bytes: `value` is what is written, null for a read; `address` is the linear
   * one. Vetoed, no device is asked, and a read gives all ones. Of an instruction that reads and then writes, the read has happened when its
   * write is asked about.
   */
  mmio?: (gpa: Gpa, size: number, write: boolean, value: bigint | null, address: bigint) => Verdict;
  /** After such memory was read. */
  mmioRead?: (gpa: Gpa, size: number, value: bigint) => void;
  /** VMCALL. True: handled, the observer set the registers; otherwise #UD follows. May leave. */
  hypercall?: () => boolean;
  /**
   * TDCALL, at any CPL. True: handled, the observer set the registers; otherwise #UD follows. May leave; one that is to leave with the instruction
   * done says true and calls `Vcpu.kick`.
   */
  tdcall?: () => boolean;
  /** INT3. Vetoed, no #BP is delivered. */
  breakpoint?: () => Verdict;
  /** Before an instruction that `Vcpu.watchCode` names. May leave or raise; there is nothing to veto. */
  execute?: (address: bigint) => void;
  /**
   * An exception or interrupt is about to be delivered; `address` is what CR2 will be, null for all but #PF. Vetoed, it is dropped: what raised
   * a fault is tried again, an interrupt is lost, INT n does nothing.
   */
  inject?: (
    vector: number,
    errorCode: number | null,
    kind: "exception" | "interrupt" | "software",
    address: bigint | null,
  ) => Verdict;
  /** One instruction retired while single-stepping is requested. */
  singleStep?: () => void;
  /** SYSCALL and SYSENTER, with the registers of the caller. Vetoed, the kernel is not entered. */
  syscall?: () => Verdict;
  /**
   * A withheld page was accessed (see `Status.Exit`). True: try again, unless the hook raised an exception; otherwise the guest is left with a
   * `memory-fault` exit.
   */
  pageAccess?: (gfn: Gfn, access: number, address: bigint) => boolean;
}

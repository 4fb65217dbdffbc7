/**
 * What an observer of a vCPU can intercept. Every hook is optional; an absent hook costs one test on a path that is slow anyway.
 * Hooks that return a boolean decide: false suppresses the effect (the instruction still retires unless said otherwise, or the hook
 * raised an exception). Any hook but those that come after the fact may call `Vcpu.leave`: then the instruction is left undone.
 */
export interface VcpuHooks {
  /** Before MOV to CR0, CR3, CR4, CR8, and before LMSW and CLTS. Values as halves. */
  controlRegister?: (register: 0 | 3 | 4 | 8, lo: number, hi: number) => boolean;
  /** Before WRMSR takes effect. */
  msrWrite?: (msr: number, lo: number, hi: number) => boolean;
  msrRead?: (msr: number) => void;
  /** Before XSETBV takes effect. */
  extendedControl?: (lo: number, hi: number) => boolean;
  /** LGDT LIDT LLDT LTR, SGDT SIDT SLDT STR. */
  descriptorTable?: (table: "gdtr" | "idtr" | "ldtr" | "tr", write: boolean) => void;
  cpuid?: (leaf: number, subleaf: number) => void;
  hlt?: () => void;
  io?: (port: number, size: number, write: boolean, value: number) => void;
  mmio?: (gpa: number, size: number, write: boolean, lo: number, hi: number) => void;
  /** VMCALL. True: handled, the observer set the registers; false: #UD follows. */
  hypercall?: () => boolean;
  /** INT3 was executed. False: no #BP is delivered; the instruction has retired. */
  breakpoint?: () => boolean;
  /** Before an instruction that `Vcpu.watchCode` names. */
  execute?: (linearLo: number, linearHi: number) => void;
  /** An exception or interrupt is about to be delivered. */
  inject?: (vector: number, errorCode: number | null, kind: "exception" | "interrupt" | "software") => void;
  /** One instruction retired while single-stepping is requested. */
  singleStep?: () => void;
  /** SYSCALL is about to enter the kernel; registers are those of the caller. */
  syscall?: () => void;
  /** A withheld page was accessed (see `Status.Exit`). True: try again; false: leave the guest with a `memory-fault` exit. */
  pageAccess?: (gfn: number, access: number, linearLo: number, linearHi: number) => boolean;
}

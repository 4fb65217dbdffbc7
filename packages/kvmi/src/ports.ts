import type { Errno } from "./errno.js";
import type { Gfn, Gpa } from "./units.js";

/** Zero, or why not. */
export type Status = 0 | Errno;

/** What may be done with a page, as the protocol has it: 1 read, 2 write, 4 execute. */
export const PageAccess = { R: 1, W: 2, X: 4, All: 7 } as const;

/** Events a vCPU must be asked to look out for. The others happen by themselves or have a command of their own. */
export type Interception = "cr" | "msr" | "xsetbv" | "breakpoint" | "hypercall" | "pf" | "descriptor" | "cpuid";

/** An exception as it is injected: `address` is what #PF puts into CR2. */
export interface Exception {
  readonly nr: number;
  readonly errorCode: number;
  readonly address: bigint;
}

/** The virtual machine as introspection needs it. Guest-physical addresses are bytes, below 2^53. */
export interface VmPort {
  readonly vcpus: readonly VcpuPort[];
  /** What the machine can do beyond the minimum. */
  readonly features: { readonly singlestep: boolean; readonly xsave: boolean };
  /** Second-level views; null if there is only the one. */
  readonly views: ViewsPort | null;
  /** First guest frame number behind all memory. */
  maxGfn(): number;
  /**
   * Whether the `size` bytes at `gpa`, within one page, can be read and written now. If not, `retry` is called when they can be, or cannot be had, and never from inside this
   * call: what is read or written then may throw, which ends the connection. Absent: all memory can, always.
   */
  ready?(gpa: Gpa, size: number, retry: () => void): boolean;
  /** Fills `out` from within one page. False: no memory is there. */
  readPhysical(gpa: Gpa, out: Uint8Array): boolean;
  /** Stores `data` within one page; code translated from there is dropped. False: no memory is there. */
  writePhysical(gpa: Gpa, data: Uint8Array): boolean;
  /**
   * Lets the guest do only `access` ({@link PageAccess}) with a page while it uses `view`; what is left out is reported. ENOMEM: too many
   * pages are restricted.
   */
  setPageAccess(view: number, gfn: Gfn, access: number): Status;
  /** Puts one page of memory where none is. ENOMEM: none is left, or there are too many such pages. */
  allocGfn(gfn: Gfn): Status;
  /** Takes away what `allocGfn` put there. */
  freeGfn(gfn: Gfn): Status;
  /** A gfn that `allocGfn` would take. */
  nextAvailableGfn(): number;
  /** Undoes everything introspection did to memory: page access, views, allocated frames. */
  reset(): void;
  /** Ends the machine: a tool asked for it. */
  crash(): void;
}

/** Views number 1 and up beside the default one, 0. */
export interface ViewsPort {
  /** The number of a new view, null if there can be no more. */
  create(): number | null;
  /** False: there is no such view. vCPUs that use it go back to view 0. */
  destroy(view: number): boolean;
  exists(view: number): boolean;
  /** In `view`, what is at `gfn` becomes what is at `target`; `target` = `gfn` restores it. EINVAL where no memory is, ENOMEM: too many. */
  changeGfn(view: number, gfn: Gfn, target: number): Status;
}

/** One vCPU. Structures are those of the KVM API, at the offsets of this package's layouts. */
export interface VcpuPort {
  /** False for a processor that waits for its first INIT and SIPI. */
  readonly initialized: boolean;
  /** Ticks of its TSC in a second, 0 if unknown. */
  readonly tscHz: number;
  /** Whom to tell; null: nobody any more. */
  connect(events: VcpuEvents | null): void;
  /** Has `VcpuEvents.boundary` called at the next instruction boundary, before any further instruction; also while halted or held. */
  kick(): void;
  /** Not one more instruction until `release`. Further calls change nothing. */
  hold(): void;
  release(): void;

  /** Address width in bytes: 2, 4 or 8. */
  mode(): number;
  /** The view it uses. */
  view: number;
  rip(): bigint;
  cr3(): bigint;
  /** Writes kvm_regs (144 bytes) at `at`. */
  saveRegs(to: DataView, at: number): void;
  /** Takes general registers, RIP and RFLAGS from kvm_regs. */
  loadRegs(from: DataView, at: number): void;
  /** Writes kvm_sregs (312 bytes), all of them. */
  saveSregs(to: DataView, at: number): void;
  /** Writes the 64 bits of an MSR. False: there is none of that number. */
  saveMsr(index: number, to: DataView, at: number): boolean;
  /** CPUID as the guest sees it, into four u32. False: no such leaf. */
  saveCpuid(leaf: number, subleaf: number, to: DataView, at: number): boolean;
  /** Writes 4096 bytes in the standard XSAVE layout; they are zero before. */
  saveXsave(to: Uint8Array): void;
  /** False: not a valid state; nothing has changed. */
  loadXsave(from: Uint8Array): boolean;
  /** XCR0. */
  xcr0(): bigint;
  /** Memory type of a guest-physical address: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB. */
  mtrrType(gpa: bigint): number;
  /** Guest-physical address behind a linear one by the vCPU's own page tables; null if it is not mapped. */
  translate(gva: bigint): number | null;

  /** Starts or stops looking out. EOPNOTSUPP: cannot. EBUSY: someone else does. */
  intercept(what: Interception, on: boolean): Status;
  controlCr(cr: 0 | 3 | 4, on: boolean): void;
  controlMsr(msr: number, on: boolean): void;
  singlestep(on: boolean): void;
  /** Reports `breakpoint` of length 0 before each execution of the instruction at `gva`, in any address space. Memory stays as it is. ENOMEM: too many. */
  watchCode(gva: bigint, on: boolean): Status;
  /** Ends every `watchCode`. */
  unwatchCode(): void;
  /** The exception that will be delivered before the next instruction anyway. */
  pendingException(): Exception | null;
  /** Delivers an exception before the next instruction. */
  inject(exception: Exception): void;
}

/** What became of an access to a page that was reported. */
export interface PageVerdict {
  /** The instruction may do it (`continue`), or is to be tried again (`retry`). */
  readonly action: "continue" | "retry";
  /** What the instruction reads instead of memory, from linear address `address` on. */
  readonly context: { readonly address: bigint; readonly data: Uint8Array } | null;
  /** A repeated string instruction is not to be asked about again. */
  readonly repComplete: boolean;
}
/** `retry`: leave the instruction undone and go on at RIP. */
export type Verdict = "continue" | "retry";

/**
 * Introspection as a vCPU sees it. Each report returns false if nobody wants it: then the vCPU does as always. If it returns true the
 * vCPU has been told to hold; it leaves the instruction undone, and `done` is called with the verdict before the release. A verdict is
 * given in the end in any case, also if the tool goes away.
 */
export interface VcpuEvents {
  /** The vCPU stands at a boundary because it was kicked. */
  boundary(): void;
  /** Before a write to CR0, CR3 or CR4. `done` gets the value to write, or null if the write is refused (#GP). */
  cr(cr: 0 | 3 | 4, old: bigint, value: bigint, done: (value: bigint | null) => void): boolean;
  /** Before WRMSR; as `cr`. */
  msr(msr: number, old: bigint, value: bigint, done: (value: bigint | null) => void): boolean;
  xsetbv(xcr: number, old: bigint, value: bigint, done: (verdict: Verdict) => void): boolean;
  /** INT3 at `gpa`, `continue` delivers #BP; or, of length 0, an instruction of `watchCode`, which `continue` executes. */
  breakpoint(gpa: Gpa, length: number, done: (verdict: Verdict) => void): boolean;
  /** VMCALL or VMMCALL with the registers of KVM_HC_XEN_HVM_OP. */
  hypercall(done: (verdict: Verdict) => void): boolean;
  /** An access that `setPageAccess` left out. `gva` is null if not known. */
  pageFault(gva: bigint | null, gpa: Gpa, access: number, done: (verdict: PageVerdict) => void): boolean;
  /** Before a descriptor table register is stored or loaded: 1 IDTR, 2 GDTR, 3 LDTR, 4 TR. */
  descriptor(which: number, write: boolean, done: (verdict: Verdict) => void): boolean;
  cpuid(leaf: number, subleaf: number, length: number, done: (verdict: Verdict) => void): boolean;
  /** An instruction has retired while single-stepping. */
  stepped(failed: boolean): boolean;
  /** The vCPU has been created and is about to run for the first time. */
  created(): boolean;
}

/** What KVM's TDX part needs of its neighbours, in its own words; `@vm/machine` connects them. */
import type { Mutex, RwSpinLock, Task } from "@vm/lockdep";

/** Frames that the host gives away for control structures and secure EPT pages. */
export interface HostPages {
  /** Physical address of a frame of 4096 bytes within a convertible memory range; null if there is none left. */
  alloc(): number | null;
  free(hpa: number): void;
}

/** The locks of a VM, as `@vm/mmu` has them. Order: linux, Documentation/virt/kvm/locking.rst. */
export interface TdVmLocks {
  readonly lock: Mutex;
  readonly slotsLock: Mutex;
  readonly mmuLock: RwSpinLock;
  /** The mutex of a new vCPU. */
  addVcpu(): Mutex;
  /** Runs `body` with every vCPU's mutex; the caller has {@link lock}. */
  withAllVcpus<T>(task: Task, body: () => T | Promise<T>): Promise<T>;
}

/** One page of private memory that populate fills. */
export interface PopulateOne {
  readonly startGfn: number;
  /** User address of the content; null if the page has it already. */
  readonly source: number | null;
  readonly pages: 1;
  readonly signalPending?: () => boolean;
  /** slots_lock and the invalidate_lock of the guest_memfd are held; `source` is null if the content is there. */
  readonly postPopulate: (gfn: number, pfn: number, source: { readonly pfn: number } | null) => Promise<void>;
}

/** Memory of the guest. What these throw has an errno as its `code`. */
export interface TdMemory {
  /** kvm_gmem_populate: slots_lock is held. @returns pages done */
  populate(task: Task, what: PopulateOne): Promise<number>;
  /** kvm_tdp_mmu_map_private_pfn: maps a page that populate has in its hands, by way of the external page table. */
  mapPrivatePfn(task: Task, gfn: number, pfn: number, signalPending?: () => boolean): Promise<void>;
}

/** The vCPUs that run. */
export interface VcpuKicks {
  /**
   * KVM_REQ_OUTSIDE_GUEST_MODE: when it returns, no vCPU of the TD is in guest mode. Where one thread runs everything, whoever calls this is not in the guest, and
   * there is nothing to do.
   */
  kickAll(): void;
}

/**
 * How a fault ended. "fixed": the access can be tried again. "retry": somebody was in the way, and nothing has changed. "memory-fault": there is no memory of the
 * kind that was meant. "mmio": no memory at all, and the guest will be told (#VE).
 */
export type FaultResult = "fixed" | "retry" | "memory-fault" | "mmio";
export type GuestAccess = "read" | "write" | "fetch";
export type CpuidValues = readonly [eax: number, ebx: number, ecx: number, edx: number];
/** What became of a conversion: EAGAIN asks the guest to come again, EINVAL says that it cannot be. */
export type ConvertResult = "done" | "EAGAIN" | "EINVAL";
/** A port may take its time: the vCPU stays out of the guest until then. */
export type Eventually<T> = T | Promise<T>;

/** What is behind a TD's vCPUs; `vcpu` is the index of the one that asks. Guest-physical addresses come without the shared bit. */
export interface TdPlatform {
  /** A port of 16 bits, size 1, 2 or 4. @returns what was read; of no matter for a write */
  io(vcpu: number, port: number, size: number, write: boolean, value: number): Eventually<number>;
  /** Size 1, 2, 4 or 8. @returns what was read; of no matter for a write */
  mmio(vcpu: number, gpa: number, size: number, write: boolean, value: bigint): Eventually<bigint>;
  /** Null: there is no such register (the guest gets #GP). */
  rdmsr(vcpu: number, index: number): Eventually<bigint | null>;
  /** False: there is no such register, or it does not take the value. */
  wrmsr(vcpu: number, index: number, value: bigint): Eventually<boolean>;
  /** Leaves that the TDX module does not answer. 0xB's EDX has to be the x2APIC id: firmware finds out by it who it is. */
  cpuid(vcpu: number, leaf: number, subleaf: number): CpuidValues;
  /** KVM_HC_MAP_GPA_RANGE: a range of at most 2 MiB becomes private or shared. */
  mapGpaRange(vcpu: number, gpa: number, size: number, toPrivate: boolean): Eventually<ConvertResult>;
  /** Maps what an access of a vCPU needs. Private memory is always asked for to write. `task` is the vCPU's. */
  faultIn(task: Task, vcpu: number, gpa: number, isPrivate: boolean, access: GuestAccess): Eventually<FaultResult>;
  /** kvm_vcpu_has_events: whether the vCPU has an interrupt or NMI waiting, or somebody wants it out of KVM_RUN. */
  hasEvents(vcpu: number): boolean;
  /** TDVMCALL GetQuote on the shared buffer at `gpa`. @returns a TDVMCALL status. Without it, there are no quotes. */
  getQuote?(vcpu: number, gpa: number, size: bigint): Eventually<bigint>;
  /** TDVMCALL SetupEventNotifyInterrupt, a vector of 32 to 255. Without it, there is none. */
  setupEventNotify?(vcpu: number, vector: number): Eventually<bigint>;
  /** KVM's own hypercalls. @returns what the guest gets in R10. Without it: -KVM_ENOSYS */
  hypercall?(vcpu: number, nr: bigint, args: readonly bigint[]): Eventually<bigint>;
}

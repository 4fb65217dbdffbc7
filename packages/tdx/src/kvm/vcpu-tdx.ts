import type { Mutex } from "@vm/lockdep";
import type { Gprs } from "../module/gpr.js";

/** enum vcpu_tdx_state. */
export enum VcpuTdState {
  Uninitialized = 0,
  Initialized = 1,
}

/** {@link VcpuTdx.cpu} of a vCPU that no logical processor has. */
export const NO_CPU = -1;

/** A TD's vCPU as KVM has it. Linux: struct vcpu_tdx. */
export class VcpuTdx {
  state = VcpuTdState.Uninitialized;
  /** Logical processor it was loaded on last, or {@link NO_CPU}. */
  cpu = NO_CPU;
  /** Physical addresses of its control pages, once given to the module. */
  tdvpr: number | null = null;
  readonly tdcx: number[] = [];
  /** Physical address of the page whose first 64 bytes are its posted-interrupt descriptor. */
  piDesc: number | null = null;
  /** vp_enter_args: what it left the guest with, and what it enters with. */
  readonly args: Gprs = new BigUint64Array(16);
  /** Something behind its last exit is not done: it must not enter. */
  isWaiting = false;

  constructor(
    /** Order of creation. */
    readonly index: number,
    /** The x2APIC id. */
    readonly id: number,
    readonly mutex: Mutex,
  ) {}
}

import type { Gpr } from "./gpr.js";
import type { Seamcall } from "./seamcall.js";
import type { OpState } from "./td.js";
import type { LockMode } from "./try-lock.js";

/** How a leaf opens a TD: the TDR that a register names, and how much of it is to be there. */
export interface TdAccess {
  /** Register with the physical address of the TDR. */
  readonly operand: Gpr;
  /** Bits of it that are flags. */
  readonly flags?: bigint;
  readonly lock: LockMode;
  /** Lock of OP_STATE while the leaf runs; without it, neither the TDCS nor the state are looked at. */
  readonly opState?: LockMode | "unlocked";
}

/** How a leaf opens a vCPU: its TDVPR explicitly, and the TDR of its TD implicitly. */
export interface VcpuAccess {
  /** Register with the physical address of the TDVPR. */
  readonly operand: Gpr;
  /** Bits of it that are flags. */
  readonly flags?: bigint;
  readonly lock: LockMode;
  readonly tdrLock: LockMode;
  /** The same in versions from 1 on, where it is another. */
  readonly tdrLockV1?: LockMode;
  readonly opState?: LockMode | "unlocked";
}

/** A SEAMCALL leaf: what its number means. */
export interface SeamcallLeaf {
  readonly number: number;
  /** Intel's name: `TDH.MEM.PAGE.ADD`. */
  readonly name: string;
  /** Highest version; 0 for most. */
  readonly versions?: number;
  /** It works before the module is ready. */
  readonly beforeReady?: boolean;
  readonly td?: TdAccess;
  readonly vcpu?: VcpuAccess;
  /** Registers that are zero afterwards unless the leaf has something to say in them. */
  readonly outputs?: readonly Gpr[];
  /** States of the TD it works in, where it looks at them. */
  readonly states?: readonly OpState[];
  /** Does it, or nothing; the status. `call.td` and `call.vcpu` are open and locked as said above. */
  run(call: Seamcall): bigint;
}

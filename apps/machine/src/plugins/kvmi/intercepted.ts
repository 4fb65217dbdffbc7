import type { Interception, VcpuEvents } from "@vm/kvmi";
import type { VcpuHandle } from "../../vcpu-handle.js";
import type { UndoneInstruction } from "./undone.js";

/** What an interceptor knows of its vCPU. */
export interface Intercepted {
  readonly handle: VcpuHandle;
  readonly undone: UndoneInstruction;
  /** Registers whose writes are reported. */
  readonly crs: ReadonlySet<number>;
  readonly msrs: ReadonlySet<number>;
  /** Whom to tell; null: nobody any more. */
  readonly events: () => VcpuEvents | null;
  /** Whether this kind is still asked for. */
  readonly wants: (kind: Interception) => boolean;
  /** Whether the instruction at RIP is being let through over restricted pages. */
  readonly stepping: () => boolean;
  /** Guest-physical address of the instruction at RIP, 0 if it is not mapped. */
  readonly ripGpa: () => number;
}

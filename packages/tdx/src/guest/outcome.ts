import type { VmExit } from "../module/guest-cpu.js";

/**
 * What becomes of an instruction or access that the processor asked about. `done`: the answer is in the registers, go on after the instruction. `native`: the
 * processor does it as if nobody had asked. `exception`: one was injected. `exit`: the guest is left, {@link GuestExit} says how.
 */
export type Outcome = "done" | "native" | "exception" | "exit";

/** How the guest is left. */
export interface GuestExit {
  readonly exit: VmExit;
  /** Whether the instruction counts as done; else it is executed again when the guest comes back. */
  readonly completed: boolean;
}

import type { GuestContext } from "../context.js";
import type { Outcome } from "../outcome.js";

/** A TDCALL leaf: what its number means. */
export interface TdcallLeaf {
  readonly number: number;
  /** Highest version; 0 for most. */
  readonly versions?: number;
  /** Does it, or nothing. The status for RAX; or an outcome, when there is none: the guest is left, or gets an exception. */
  run(context: GuestContext, version: number): bigint | Outcome;
}

/** Whether a leaf came to an end without a status. */
export function isOutcome<T>(result: T | Outcome): result is Outcome {
  return typeof result === "string";
}

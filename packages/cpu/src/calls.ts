/** What generated code and TypeScript say to each other where one calls the other; everything else is in the state block (`state.ts`). */

/** Why `run` returned. */
export enum RunExit {
  /** The budget is used up. */
  Budget = 0,
  /** The record at `REC` could not be executed; an exception or an exit is pending. */
  Fault = 1,
}

/** What a missing TLB entry was wanted for; added to the size of the access in `SLOW_ACCESS`. */
export enum SlowAccess {
  Load = 0x100,
  Store = 0x200,
  Modify = 0x300,
}

/** What became of a TLB miss. */
export enum Miss {
  /** Not to be done: an exception or an exit is pending. */
  Fault = 0,
  /** There is an entry now. */
  Filled = 1,
  /** There is an entry for this one instruction, which leads to `SCRATCH`; the slice ends behind it. */
  Staged = 2,
}

/** What a helper tells the interpreter. */
export enum HelperResult {
  /** Retired; go on with the next record. */
  Next = 0,
  /** Retired; go on at `PC`. */
  Jump = 1,
  /** Not retired: an exception or an exit is pending. */
  Fault = 2,
  // Any other value is the address of the record to go on with.
}

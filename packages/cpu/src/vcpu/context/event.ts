import type { Vector } from "../registers/constants.js";

/** An event to be delivered through the IDT. */
export interface Pending {
  readonly vector: number;
  readonly errorCode: number | null;
  /** `software`: INT n, INT3, INTO, whose gate's DPL is checked. */
  readonly kind: "exception" | "interrupt" | "software";
  /** A #GP that becomes #SS if the instruction accessed the stack. */
  readonly nonCanonical?: boolean;
  /** A #DB that is a fault for DR7.GD. */
  readonly generalDetect?: boolean;
  readonly cr2Lo?: number;
  readonly cr2Hi?: number;
}

/** What an instruction can do about exceptions. What raises returns false, for use as a helper's failure. */
export interface Raising {
  /** What was raised and is not delivered yet. */
  readonly pending: Pending | null;
  /** Notes exception `vector` without error code. */
  raise(vector: Vector): false;
  raiseError(vector: Vector, errorCode: number): false;
  /** #GP(0) for an address, or #SS(0) if the record turns out to access the stack. */
  raiseNonCanonical(): void;
  raisePageFault(lo: number, hi: number, errorCode: number): false;
  /** #DB as a fault: `bits` of DR6 tell why. */
  raiseDebugFault(bits: number): false;
  /** The current instruction met breakpoints `mask` with its data or ports: #DB follows it. */
  debugTrap(mask: number): void;
  /** Moves waiting debug traps to DR6: the #DB that is about to be delivered is theirs too. */
  takeDebugTraps(): void;
  /** Notes an event whose delivery was left half-way: it is delivered first when `run` goes on. */
  redeliver(event: Pending): void;
  /** Forgets a noted exception: what raised it turned out not to matter. */
  forget(): void;
}

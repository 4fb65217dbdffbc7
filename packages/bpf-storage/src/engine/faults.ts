/** How a program can end other than by returning. */

/** Kinds of faults by their number in the state block. */
export const FAULTS = ["none", "memory", "budget", "stack", "depth", "function", "trap"] as const;

/**
 * - `memory`: an unverified program accessed what is outside of its windows
 * - `budget`: it has executed as many instructions as it may
 * - `stack`: the engine's stack is used up, by nested runs, tail calls or recursion
 * - `depth`: an unverified program has more frames than 8
 * - `function`: a call by register of a function that does not exist
 * - `trap`: WebAssembly's own checks: an access outside of the memory, a callback that is none
 */
export type FaultKind = Exclude<(typeof FAULTS)[number], "none">;

export const FaultNumber = { memory: 1, budget: 2, stack: 3, depth: 4, function: 5, trap: 6 } as const;

export interface Fault {
  readonly kind: FaultKind;
  /** Instruction that was refused; the one with which the block (`budget`) or the function (`stack`, `depth`) begins; -1 if WebAssembly refused. */
  readonly pc: number;
  /** The address or function number that was not allowed, halves, unsigned; 0 if there is none. */
  readonly addressLow: number;
  readonly addressHigh: number;
}

/** Thrown through WebAssembly by the engine's own host functions, to end a run; never seen outside of the engine. */
export class FaultSignal extends Error {
  override readonly name = "FaultSignal";
}

import type { FunctionBuilder, Label, Local } from "@vm/wasm";

/** The function under construction and its fixed parts. */
export interface Frame {
  readonly f: FunctionBuilder;
  /** Base of the vCPU state block. */
  readonly cpu: Local<"i32">;
  /** Current record. */
  readonly rec: Local<"i32">;
  /** Instructions that may still be started. */
  readonly left: Local<"i32">;
  /** Linear address for `lookup`. */
  readonly target: Local<"i64">;
  /** Host address of the memory operand, for `exits.x87`. */
  readonly operand: Local<"i32">;
  /** Starts the record `rec`. */
  readonly next: Label;
  /** Starts the record `rec`, which control has come to from elsewhere. */
  readonly taken: Label;
  /** Finds the record for `target` and starts it. */
  readonly lookup: Label;
  /**
   * Ways out of the loop, where TypeScript is called. The loop itself contains no call, and so has nothing to save for one. The reason of
   * leaving is in the state block where one is needed.
   */
  readonly exits: Exits;
}

/** Labels outside the dispatch loop. */
export interface Exits {
  /** The record cannot be paid for. */
  readonly spent: Label;
  /** TLB miss: fills the TLB (or stages the access) and starts the record again. `SLOW_ADDRESS` and `SLOW_ACCESS` tell the access. */
  readonly miss: Label;
  /** Leaves with the instruction undone and exception `RAISE` pending, or whatever TypeScript noted. */
  readonly raise: Label;
  readonly fault: Label;
  /** Executes the record's instruction in TypeScript; see `HelperResult`. */
  readonly helper: Label;
  /** Executes x87 operation `R_AUX` of the record on register `R_DST` and `operand`; what it refuses is the record's helper's. */
  readonly x87: Label;
  /** Executes operation `OUTSIDE_OP` on the record's operands in TypeScript and goes on with the next record. */
  readonly outside: Label;
  /** Decodes the target of a direct branch. */
  readonly link: Label;
  /** A head has become hot. */
  readonly hot: Label;
  /** Runs the region that the record leads to. */
  readonly region: Label;
}

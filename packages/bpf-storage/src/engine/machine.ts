import type { Expr, FunctionBuilder, Local } from "@vm/wasm";
import type { Bytes } from "./operation.js";

/** The registers that an instruction names, and the one that cmpxchg and calls mean without naming it. */
export type Role = "dst" | "src" | "r0";

/** An address of the memory: `address` + `offset`. */
export interface Place {
  readonly address: Expr<"i32">;
  /** Bytes, 0 or more. */
  readonly offset: number;
}

/**
 * What the meaning of an instruction is written with. The JIT gives one whose registers are locals and whose immediates are constants, for
 * each instruction; the interpreter one that finds both in memory, for each operation.
 */
export interface Machine {
  readonly f: FunctionBuilder;
  get64(role: Role): Expr<"i64">;
  get32(role: Role): Expr<"i32">;
  set64(role: Role, value: Expr<"i64">): void;
  /** Writes the lower half and clears the upper. */
  set32(role: Role, value: Expr<"i32">): void;
  /** The immediate, if it is known while code is written: signed, 32 bits. */
  readonly known: number | null;
  /** The immediate, sign-extended; of a 64-bit load all of it. */
  immediate64(): Expr<"i64">;
  immediate32(): Expr<"i32">;
  /** The distance in bytes of an access, if it is known while code is written. */
  readonly knownOffset: number | null;
  /** The distance, sign-extended. */
  offset64(): Expr<"i64">;
  offset32(): Expr<"i32">;
  /** The number of the instruction. */
  pc(): Expr<"i32">;
  /** Where the frame of the function begins: its lowest byte. */
  readonly frame: Local<"i32">;
  /** Whether `role` is the frame pointer and the access is known to be within the frame: the offset from the frame's lowest byte, or else null. */
  withinFrame(role: Role, size: Bytes): number | null;
  /** may_goto's counter of this call. */
  readonly counter: { get(): Expr<"i32">; set(value: Expr<"i32">): void };
}

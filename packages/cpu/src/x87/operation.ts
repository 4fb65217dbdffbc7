import type { Func } from "@vm/wasm";
import type { Arithmetic } from "./arithmetic.js";
import type { Unit } from "./unit.js";

/** The functions that operations call. */
export interface Shared extends Arithmetic {
  /** `(a, aTop, b, bTop)`: C3, C2 and C0 as a comparison of two ordinary numbers sets them. */
  readonly relation: Func;
}

/** One x87 instruction on one kind of operand: what it does between `Unit.begin` and its success. */
export interface Operation {
  /**
   * Mnemonic and operands: `m4` memory of 4 bytes, `i` the register named, `0i` ST(0) and the register named, `i0` the other way round, `r` AX,
   * nothing.
   */
  readonly key: string;
  /** Looks for pending exceptions first: all but the FN... ones. */
  readonly waiting: boolean;
  readonly emit: (u: Unit, shared: Shared) => void;
}

export const operation = (key: string, emit: Operation["emit"]): Operation => ({ key, waiting: true, emit });

export const nonWaiting = (key: string, emit: Operation["emit"]): Operation => ({ key, waiting: false, emit });

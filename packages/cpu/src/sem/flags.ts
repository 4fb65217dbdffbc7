import type { I32, I64, Local64 } from "./ctx.js";

/**
 * The arithmetic flags as instructions see them. What an instruction does to them is said by name, so that a context may keep the operands
 * and work out a flag only where somebody asks for it. Operands and results are of the size of the instantiation, zero-extended; bits
 * of a result above its size are ignored.
 */
export interface Flags {
  /** Flags of `a + b` = `r`. */
  add(a: Local64, b: Local64, r: Local64): void;
  /** Flags of `a + b + CF` = `r`. */
  adc(a: Local64, b: Local64, r: Local64): void;
  /** Flags of `a - b` = `r`. */
  sub(a: Local64, b: Local64, r: Local64): void;
  /** Flags of `a - b - CF` = `r`. */
  sbb(a: Local64, b: Local64, r: Local64): void;
  /** Flags of `a + one` = `r` but for CF, which stays. */
  increment(a: Local64, one: Local64, r: Local64): void;
  /** Flags of `a - one` = `r` but for CF, which stays. */
  decrement(a: Local64, one: Local64, r: Local64): void;
  /** Flags of a logical result: CF = OF = AF = 0. */
  logic(r: Local64): void;
  /** SF ZF PF of `r`, CF and OF as given (0 or 1), AF = 0. */
  result(r: I64, cf: I64, of: I64): void;
  /** ZF and CF as given, every other flag 0: PTEST and ordered floating-point comparisons. */
  compare(zf: I32, cf: I32): void;
  /** CF and OF as given (0 or 1), the others kept. */
  setCarryOverflow(cf: I64, of: I64): void;
  /** CF as given (0 or 1), the others kept. */
  setCarry(cf: I64): void;
  /** The instruction writes both words itself, in terms of `FlagPair`; nothing of what was there stays. */
  rewrite(): FlagWriter;
  /** Loads the six flags from the low 12 bits of `value`. */
  unpack(value: I32): void;

  /** CF, 0 or 1. */
  carry(): I64;
  /** OF, 0 or 1. */
  overflow(): I64;
  /** Condition `cc` 0..15 (SDM vol. 1, appendix B), 0 or 1. */
  condition(cc: number): I32;
  /** The six flags as the low 12 bits of RFLAGS. */
  pack(): I32;
}

/** Writes the words of `FlagPair`. */
export interface FlagWriter {
  setFr(value: I64): void;
  setFa(value: I64): void;
}

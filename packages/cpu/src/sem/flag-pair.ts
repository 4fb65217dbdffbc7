import { type FunctionBuilder, i32, i64 } from "@vm/wasm";
import type { I32, I64, Size } from "./ctx.js";
import type { Flags, FlagWriter } from "./flags.js";
import { signExtend } from "./widths.js";

const CARRIES = i64.const2(8, 0xc0000000);
const c64 = (value: number): I64 => i64.const(value);

/** Where the two words are. */
export interface FlagWords extends FlagWriter {
  fr(): I64;
  fa(): I64;
}

/**
 * Arithmetic flags as a pair of words: `fr`, the result sign-extended from its size, and `fa`, the carries:
 * bit 63 = carry out of the most significant bit (CF), bit 62 = carry into it (OF = bit 63 ^ bit 62), bit 3 = AF.
 * POPF and friends may need combinations no result has (ZF with SF, ZF without PF): bits 8-15 of `fa` are xor-ed into the byte
 * whose parity is PF, bit 16 into SF.
 */
export class FlagPair implements Flags {
  readonly #f: FunctionBuilder;
  readonly #size: Size;
  readonly #words: FlagWords;

  constructor(f: FunctionBuilder, size: Size, words: FlagWords) {
    this.#f = f;
    this.#size = size;
    this.#words = words;
  }

  add(a: I64, b: I64, r: I64): void {
    const not = i64.xor(r, c64(-1));
    this.#words.setFa(this.#alignCarries(i64.or(i64.and(a, b), i64.and(i64.or(a, b), not))));
    this.#words.setFr(signExtend(r, this.#size));
  }

  adc(a: I64, b: I64, r: I64): void {
    this.add(a, b, r);
  }

  sub(a: I64, b: I64, r: I64): void {
    const not = i64.xor(a, c64(-1));
    this.#words.setFa(this.#alignCarries(i64.or(i64.and(not, b), i64.and(i64.xor(i64.xor(a, b), c64(-1)), r))));
    this.#words.setFr(signExtend(r, this.#size));
  }

  sbb(a: I64, b: I64, r: I64): void {
    this.sub(a, b, r);
  }

  increment(a: I64, one: I64, r: I64): void {
    const cf = this.#f.let("i64", this.carry());
    this.add(a, one, r);
    this.setCarry(cf);
  }

  decrement(a: I64, one: I64, r: I64): void {
    const cf = this.#f.let("i64", this.carry());
    this.sub(a, one, r);
    this.setCarry(cf);
  }

  logic(r: I64): void {
    this.#words.setFa(c64(0));
    this.#words.setFr(signExtend(r, this.#size));
  }

  result(r: I64, cf: I64, of: I64): void {
    this.#words.setFr(signExtend(r, this.#size));
    this.#carryOverflow(cf, of, c64(0));
  }

  compare(zf: I32, cf: I32): void {
    const zero = this.#f.let("i64", i64.extend_i32_u(zf));
    const carry = i64.sub(c64(0), i64.extend_i32_u(cf));
    // A result of 1 has the odd parity wanted; that of 0 is corrected.
    this.#words.setFa(i64.or(i64.and(carry, i64.const2(0, 0xc0000000)), i64.shl(zero, c64(8))));
    this.#words.setFr(i64.sub(c64(1), zero));
  }

  setCarryOverflow(cf: I64, of: I64): void {
    this.#carryOverflow(cf, of, i64.and(this.#words.fa(), i64.const2(0x0001ff08, 0)));
  }

  setCarry(value: I64): void {
    const cf = this.#f.let("i64", value);
    const of = this.#f.let("i64", this.overflow());
    this.setCarryOverflow(cf, of);
  }

  rewrite(): FlagWriter {
    return this.#words;
  }

  /** `flagPair` in `rflags.ts` is the same in TypeScript. */
  unpack(value: I32): void {
    const f = this.#f;
    const v = f.let("i64", i64.extend_i32_u(value));
    const at = (bit: number): I64 => i64.and(i64.shr_u(v, c64(bit)), c64(1));
    const zf = f.let("i64", at(6));
    const pf = f.let("i64", at(2));
    const notZero = i64.sub(zf, c64(1));
    // ZF = 0: a non-zero result with the wanted sign and parity. ZF = 1: zero, corrected by the deltas.
    this.#words.setFr(i64.and(notZero, i64.or(i64.shl(at(7), c64(63)), i64.or(c64(1), i64.shl(pf, c64(1))))));
    const deltas = i64.and(i64.sub(c64(0), zf), i64.or(i64.shl(i64.xor(pf, c64(1)), c64(8)), i64.shl(at(7), c64(16))));
    this.#carryOverflow(at(0), at(11), i64.or(i64.shl(at(4), c64(3)), deltas));
  }

  carry(): I64 {
    return i64.shr_u(this.#words.fa(), c64(63));
  }

  overflow(): I64 {
    return i64.shr_u(i64.xor(this.#words.fa(), i64.shl(this.#words.fa(), c64(1))), c64(63));
  }

  condition(cc: number): I32 {
    const positive = this.#evenCondition(cc & 14);
    return cc & 1 ? i32.eqz(positive) : positive;
  }

  pack(): I32 {
    const bit = (value: I64, at: number): I32 => i32.shl(i32.wrap_i64(value), i32.const(at));
    const sf = i64.shr_u(this.#sign(), c64(63));
    const af = i64.and(i64.shr_u(this.#words.fa(), c64(3)), c64(1));
    const zf = i64.extend_i32_u(i64.eqz(this.#words.fr()));
    const parts = [i32.shl(this.#parity(), i32.const(2)), bit(af, 4), bit(zf, 6), bit(sf, 7), bit(this.overflow(), 11)];
    return parts.reduce((sum, part) => i32.or(sum, part), i32.wrap_i64(this.carry()));
  }

  #evenCondition(cc: number): I32 {
    const words = this.#words;
    const zero = c64(0);
    const less = (): I32 => i64.lt_s(i64.xor(i64.xor(this.#sign(), words.fa()), i64.shl(words.fa(), c64(1))), zero);
    switch (cc) {
      case 0:
        return i64.lt_s(i64.xor(words.fa(), i64.shl(words.fa(), c64(1))), zero);
      case 2:
        return i64.lt_s(words.fa(), zero);
      case 4:
        return i64.eqz(words.fr());
      case 6:
        return i32.or(i64.lt_s(words.fa(), zero), i64.eqz(words.fr()));
      case 8:
        return i64.lt_s(this.#sign(), zero);
      case 10:
        return this.#parity();
      case 12:
        return less();
      default:
        return i32.or(less(), i64.eqz(words.fr()));
    }
  }

  /** Sign, with the delta applied: bit 63 of the result. */
  #sign(): I64 {
    return i64.xor(this.#words.fr(), i64.shl(this.#words.fa(), c64(47)));
  }

  /** PF as i32, 0 or 1. */
  #parity(): I32 {
    const byte = i32.and(i32.wrap_i64(i64.xor(this.#words.fr(), i64.shr_u(this.#words.fa(), c64(8)))), i32.const(0xff));
    return i32.and(i32.xor(i32.popcnt(byte), i32.const(1)), i32.const(1));
  }

  /** Brings the carries of an operation to their places in `fa`. */
  #alignCarries(vector: I64): I64 {
    if (this.#size === 8) return i64.and(vector, CARRIES);
    const v = this.#f.let("i64", vector);
    return i64.and(i64.or(i64.shl(v, c64(64 - 8 * this.#size)), i64.and(v, c64(8))), CARRIES);
  }

  #carryOverflow(cf: I64, of: I64, rest: I64): void {
    const carry = this.#f.let("i64", cf);
    this.#words.setFa(i64.or(i64.or(i64.shl(carry, c64(63)), i64.shl(i64.xor(carry, of), c64(62))), rest));
  }
}

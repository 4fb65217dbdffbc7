import { i32, i64 } from "@vm/wasm";
import type { Ctx, I32, I64, Size } from "./ctx.js";

/**
 * Arithmetic flags as a pair: `fr`, the result sign-extended from its size, and `fa`, the carries:
 * bit 63 = carry out of the most significant bit (CF), bit 62 = carry into it (OF = bit 63 ^ bit 62), bit 3 = AF.
 * POPF and friends may need combinations no result has (ZF with SF, ZF without PF): bits 8-15 of `fa` are xor-ed into the byte
 * whose parity is PF, bit 16 into SF.
 */
const CARRIES = i64.const2(8, 0xc0000000);
const c64 = (value: number): I64 => i64.const(value);

/** `value` sign-extended from `size` bytes. */
export function signExtend(value: I64, size: Size): I64 {
  return size === 1
    ? i64.extend8_s(value)
    : size === 2
      ? i64.extend16_s(value)
      : size === 4
        ? i64.extend32_s(value)
        : value;
}

/** `value` truncated to `size` bytes. */
export function truncate(value: I64, size: Size): I64 {
  return size === 8 ? value : i64.and(value, i64.const2(size === 4 ? -1 : size === 2 ? 0xffff : 0xff, 0));
}

/** Brings the carries of a `size`-byte operation to their places in `fa`. */
function alignCarries(c: Ctx, vector: I64, size: Size): I64 {
  if (size === 8) return i64.and(vector, CARRIES);
  const v = c.f.let("i64", vector);
  return i64.and(i64.or(i64.shl(v, c64(64 - 8 * size)), i64.and(v, c64(8))), CARRIES);
}

/** Flags of `a + b (+ carry)` = `r`; bits of `r` above the size are ignored. */
export function flagsAdd(c: Ctx, a: I64, b: I64, r: I64): void {
  const not = i64.xor(r, c64(-1));
  c.setFa(alignCarries(c, i64.or(i64.and(a, b), i64.and(i64.or(a, b), not)), c.size));
  c.setFr(signExtend(r, c.size));
}

/** Flags of `a - b (- borrow)` = `r`. */
export function flagsSub(c: Ctx, a: I64, b: I64, r: I64): void {
  const not = i64.xor(a, c64(-1));
  c.setFa(alignCarries(c, i64.or(i64.and(not, b), i64.and(i64.xor(i64.xor(a, b), c64(-1)), r)), c.size));
  c.setFr(signExtend(r, c.size));
}

/** Flags of a logical result: CF = OF = AF = 0. */
export function flagsLogic(c: Ctx, r: I64): void {
  c.setFa(c64(0));
  c.setFr(signExtend(r, c.size));
}

/** SF ZF PF of `r`, with the given CF and OF (i64, 0 or 1) and AF = 0. */
export function flagsResult(c: Ctx, r: I64, cf: I64, of: I64): void {
  c.setFr(signExtend(r, c.size));
  setCarryOverflow(c, cf, of, c64(0));
}

/** ZF and CF as given, every other flag 0: PTEST and ordered floating-point comparisons. */
export function flagsCompare(c: Ctx, zf: I32, cf: I32): void {
  const zero = c.f.let("i64", i64.extend_i32_u(zf));
  const carry = i64.sub(c64(0), i64.extend_i32_u(cf));
  // A result of 1 has the odd parity wanted; that of 0 is corrected.
  c.setFa(i64.or(i64.and(carry, i64.const2(0, 0xc0000000)), i64.shl(zero, c64(8))));
  c.setFr(i64.sub(c64(1), zero));
}

/** Sets CF and OF (i64, 0 or 1), keeps SF ZF AF PF. */
export function setCarryOverflowOnly(c: Ctx, cf: I64, of: I64): void {
  setCarryOverflow(c, cf, of, i64.and(c.fa(), i64.const2(0x0001ff08, 0)));
}

function setCarryOverflow(c: Ctx, cf: I64, of: I64, rest: I64): void {
  const carry = c.f.let("i64", cf);
  c.setFa(i64.or(i64.or(i64.shl(carry, c64(63)), i64.shl(i64.xor(carry, of), c64(62))), rest));
}

/** CF as i64, 0 or 1. */
export function carry(c: Ctx): I64 {
  return i64.shr_u(c.fa(), c64(63));
}

/** OF as i64, 0 or 1. */
export function overflow(c: Ctx): I64 {
  return i64.shr_u(i64.xor(c.fa(), i64.shl(c.fa(), c64(1))), c64(63));
}

/** CF set to the low bit of `value`, everything else kept. */
export function setCarry(c: Ctx, value: I64): void {
  const cf = c.f.let("i64", value);
  const of = c.f.let("i64", overflow(c));
  setCarryOverflowOnly(c, cf, of);
}

/** Sign, with the delta applied: bit 63 of the result. */
function sign(c: Ctx): I64 {
  return i64.xor(c.fr(), i64.shl(c.fa(), c64(47)));
}

/** PF as i32, 0 or 1. */
export function parity(c: Ctx): I32 {
  const byte = i32.and(i32.wrap_i64(i64.xor(c.fr(), i64.shr_u(c.fa(), c64(8)))), i32.const(0xff));
  return i32.and(i32.xor(i32.popcnt(byte), i32.const(1)), i32.const(1));
}

/** Condition `cc` 0..15 (SDM vol. 1, appendix B) as i32, 0 or 1. */
export function condition(c: Ctx, cc: number): I32 {
  const positive = evenCondition(c, cc & 14);
  return cc & 1 ? i32.eqz(positive) : positive;
}

function evenCondition(c: Ctx, cc: number): I32 {
  const zero = c64(0);
  const less = (): I32 => i64.lt_s(i64.xor(i64.xor(sign(c), c.fa()), i64.shl(c.fa(), c64(1))), zero);
  switch (cc) {
    case 0:
      return i64.lt_s(i64.xor(c.fa(), i64.shl(c.fa(), c64(1))), zero);
    case 2:
      return i64.lt_s(c.fa(), zero);
    case 4:
      return i64.eqz(c.fr());
    case 6:
      return i32.or(i64.lt_s(c.fa(), zero), i64.eqz(c.fr()));
    case 8:
      return i64.lt_s(sign(c), zero);
    case 10:
      return parity(c);
    case 12:
      return less();
    default:
      return i32.or(less(), i64.eqz(c.fr()));
  }
}

/** The six arithmetic flags as the low 12 bits of RFLAGS. */
export function packFlags(c: Ctx): I32 {
  const bit = (value: I64, at: number): I32 => i32.shl(i32.wrap_i64(value), i32.const(at));
  const sf = i64.shr_u(sign(c), c64(63));
  const af = i64.and(i64.shr_u(c.fa(), c64(3)), c64(1));
  const zf = i64.extend_i32_u(i64.eqz(c.fr()));
  const parts = [i32.shl(parity(c), i32.const(2)), bit(af, 4), bit(zf, 6), bit(sf, 7), bit(overflow(c), 11)];
  return parts.reduce((sum, part) => i32.or(sum, part), i32.wrap_i64(carry(c)));
}

/** Loads the six arithmetic flags from the low 12 bits of `value`. `flagPair` in `rflags.ts` is the same in TypeScript. */
export function unpackFlags(c: Ctx, value: I32): void {
  const v = c.f.let("i64", i64.extend_i32_u(value));
  const at = (bit: number): I64 => i64.and(i64.shr_u(v, c64(bit)), c64(1));
  const zf = c.f.let("i64", at(6));
  const pf = c.f.let("i64", at(2));
  const notZero = i64.sub(zf, c64(1));
  // ZF = 0: a non-zero result with the wanted sign and parity. ZF = 1: zero, corrected by the deltas.
  c.setFr(i64.and(notZero, i64.or(i64.shl(at(7), c64(63)), i64.or(c64(1), i64.shl(pf, c64(1))))));
  const deltas = i64.and(i64.sub(c64(0), zf), i64.or(i64.shl(i64.xor(pf, c64(1)), c64(8)), i64.shl(at(7), c64(16))));
  setCarryOverflow(c, at(0), at(11), i64.or(i64.shl(at(4), c64(3)), deltas));
}

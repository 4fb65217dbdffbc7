import { AluOp } from "../isa/opcodes.js";
import type { Int64 } from "./int64.js";
import * as i64 from "./int64.js";
import { constant, Draft, isConst, S32_MAX, S32_MIN, type Scalar, U32_MAX, UNKNOWN } from "./scalar.js";
import {
  tnumAdd,
  tnumAnd,
  tnumArsh,
  tnumConst,
  tnumLsh,
  tnumMul,
  tnumOr,
  tnumRange,
  tnumRsh,
  tnumSub,
  tnumSubreg,
  tnumTop,
  tnumXor,
} from "./tnum.js";

/**
 * What arithmetic makes of scalars. Each operation works out bounds of both widths and bits, in a draft of which nothing is known yet; the
 * parts are reconciled at the end. A bound that could overflow stays unknown, as in linux kernel/bpf/verifier.c, so that the same programs
 * pass.
 */

const fits32 = (least: number, greatest: number): boolean => least >= S32_MIN && greatest <= S32_MAX;

const set32 = (to: Draft, umin: number, umax: number): void => {
  const fit = umin >= 0 && umax <= U32_MAX;
  to.u32min = fit ? umin : 0;
  to.u32max = fit ? umax : U32_MAX;
};
const set32s = (to: Draft, smin: number, smax: number): void => {
  const fit = fits32(smin, smax);
  to.s32min = fit ? smin : S32_MIN;
  to.s32max = fit ? smax : S32_MAX;
};

const add = (to: Draft, a: Scalar, b: Scalar): void => {
  set32s(to, a.s32min + b.s32min, a.s32max + b.s32max);
  set32(to, a.u32min + b.u32min, a.u32max + b.u32max);
  if (!i64.addOverflowsS(a.smin, b.smin) && !i64.addOverflowsS(a.smax, b.smax)) {
    to.smin = i64.add(a.smin, b.smin);
    to.smax = i64.add(a.smax, b.smax);
  }
  if (!i64.addOverflowsU(a.umax, b.umax)) {
    to.umin = i64.add(a.umin, b.umin);
    to.umax = i64.add(a.umax, b.umax);
  }
  to.bits = tnumAdd(a.bits, b.bits);
};

const sub = (to: Draft, a: Scalar, b: Scalar): void => {
  set32s(to, a.s32min - b.s32max, a.s32max - b.s32min);
  set32(to, a.u32min - b.u32max, a.u32max - b.u32min);
  if (!i64.subOverflowsS(a.smin, b.smax) && !i64.subOverflowsS(a.smax, b.smin)) {
    to.smin = i64.sub(a.smin, b.smax);
    to.smax = i64.sub(a.smax, b.smin);
  }
  if (!i64.subOverflowsU(a.umin, b.umax)) {
    to.umin = i64.sub(a.umin, b.umax);
    to.umax = i64.sub(a.umax, b.umin);
  }
  to.bits = tnumSub(a.bits, b.bits);
};

const mul = (to: Draft, a: Scalar, b: Scalar): void => {
  to.bits = tnumMul(a.bits, b.bits);
  if (a.s32min >= 0 && b.s32min >= 0 && a.u32max <= 0xffff && b.u32max <= 0xffff) {
    set32(to, a.u32min * b.u32min, a.u32max * b.u32max);
    if (to.u32max <= S32_MAX) set32s(to, to.u32min, to.u32max);
  }
  // Products of halves always fit.
  const fits = i64.fitsLow(a.umax) && i64.fitsLow(b.umax);
  if (fits && !i64.isNegative(a.smin) && !i64.isNegative(b.smin)) {
    to.umin = i64.mul(a.umin, b.umin);
    to.umax = i64.mul(a.umax, b.umax);
    if (!i64.isNegative(to.umax)) {
      to.smin = to.umin;
      to.smax = to.umax;
    }
  }
};

/** Unsigned bounds of a bitwise result follow from its bits and from the operands; signed ones follow from those. */
const bitwise = (to: Draft, umin: Int64, umax: Int64, u32min: number, u32max: number): void => {
  to.umin = umin;
  to.umax = umax;
  to.u32min = u32min;
  to.u32max = u32max;
};

const and = (to: Draft, a: Scalar, b: Scalar): void => {
  to.bits = tnumAnd(a.bits, b.bits);
  const { value } = to.bits;
  bitwise(to, value, i64.minU(b.umax, a.umax), value.lo >>> 0, Math.min(a.u32max, b.u32max));
};

const or = (to: Draft, a: Scalar, b: Scalar): void => {
  to.bits = tnumOr(a.bits, b.bits);
  const top = tnumTop(to.bits);
  bitwise(to, i64.maxU(b.umin, a.umin), top, Math.max(a.u32min, b.u32min), top.lo >>> 0);
};

const xor = (to: Draft, a: Scalar, b: Scalar): void => {
  to.bits = tnumXor(a.bits, b.bits);
  const { value } = to.bits;
  const top = tnumTop(to.bits);
  bitwise(to, value, top, value.lo >>> 0, top.lo >>> 0);
};

/** Shifts of the lower half, by any number. */
const lsh32 = (to: Draft, a: Scalar, by: number): void => {
  if (by <= 31 && a.u32max <= 2 ** (31 - by)) set32(to, a.u32min * 2 ** by, a.u32max * 2 ** by);
};

const lsh = (to: Draft, a: Scalar, by: number): void => {
  lsh32(to, a, by);
  // A shift by 32 of a 32-bit signed number is half of a sign extension: the ends keep their order.
  if (by === 32) {
    to.smax = new i64.Int64(0, a.s32max);
    to.smin = new i64.Int64(0, a.s32min);
  }
  if (i64.leU(a.umax, i64.shl(i64.ONE, 63 - by))) {
    to.umin = i64.shl(a.umin, by);
    to.umax = i64.shl(a.umax, by);
  }
  to.bits = tnumLsh(a.bits, by);
};

const rsh = (to: Draft, a: Scalar, by: number): void => {
  to.umin = i64.shrU(a.umin, by);
  to.umax = i64.shrU(a.umax, by);
  to.bits = tnumRsh(a.bits, by);
};

const arsh = (to: Draft, a: Scalar, by: number): void => {
  to.smin = i64.shrS(a.smin, by);
  to.smax = i64.shrS(a.smax, by);
  to.bits = tnumArsh(a.bits, by, 64);
};

/** The lower half of `a` as a scalar of its own, the upper half zero. */
const low = (a: Scalar): Scalar => {
  const to = Draft.of(a);
  to.zeroExtend();
  return to.settle();
};

/** Right shifts of 32-bit words are shifts of their extension, cut off again. */
const shift32 = (op: number, a: Scalar, by: number): Scalar => {
  const to = new Draft();
  const bits = tnumSubreg(a.bits);
  if (op === AluOp.Lsh) {
    lsh32(to, a, by);
    to.bits = tnumSubreg(tnumLsh(bits, by));
  } else if (op === AluOp.Rsh) {
    to.u32min = a.u32min >>> by;
    to.u32max = a.u32max >>> by;
    to.bits = tnumRsh(bits, by);
  } else {
    to.s32min = a.s32min >> by;
    to.s32max = a.s32max >> by;
    to.bits = tnumArsh(bits, by, 32);
  }
  to.zeroExtend();
  return to.settle();
};

/** The amount of shift that `b` is, or nothing where it is not known or not below the width. */
const shiftBy = (b: Scalar, bits: 32 | 64): number | undefined => {
  if (!i64.fitsLow(b.umax) || b.umax.lo >>> 0 >= bits) return undefined;
  return isConst(bits === 64 ? b : low(b)) ? b.umax.lo : undefined;
};

const rules: Readonly<Record<number, (to: Draft, a: Scalar, b: Scalar) => void>> = {
  [AluOp.Add]: add,
  [AluOp.Sub]: sub,
  [AluOp.Mul]: mul,
  [AluOp.And]: and,
  [AluOp.Or]: or,
  [AluOp.Xor]: xor,
};
const shifts: Readonly<Record<number, (to: Draft, a: Scalar, by: number) => void>> = {
  [AluOp.Lsh]: lsh,
  [AluOp.Rsh]: rsh,
  [AluOp.Arsh]: arsh,
};

/** Concrete operations on constants; none where the verifier makes no use of the result (division, modulo, shifts). */
const folds: Readonly<Record<number, (a: Int64, b: Int64) => Int64>> = {
  [AluOp.Add]: i64.add,
  [AluOp.Sub]: i64.sub,
  [AluOp.Mul]: i64.mul,
  [AluOp.And]: i64.and,
  [AluOp.Or]: i64.or,
  [AluOp.Xor]: i64.xor,
};

/**
 * The result of `a op b` on 64 or on 32 bits (the latter with an upper half of zeros); `op` is one of AluOp other than MOV, NEG, END.
 * Division and modulo give an unknown number, as do shifts by an amount that is not known or not below the width: as in linux, of all
 * 64 bits, whatever the width.
 */
export const alu = (op: number, a: Scalar, b: Scalar, bits: 32 | 64): Scalar => {
  const fold = folds[op];
  if (fold !== undefined && isConst(a) && isConst(b)) {
    const result = fold(a.bits.value, b.bits.value);
    return constant(bits === 32 ? i64.low(result) : result);
  }
  const shift = shifts[op];
  if (shift !== undefined) {
    const by = shiftBy(b, bits);
    if (by === undefined) return UNKNOWN;
    if (bits === 32) return shift32(op, a, by);
    const to = new Draft();
    shift(to, a, by);
    return to.settle();
  }
  const rule = rules[op];
  if (rule === undefined) return UNKNOWN;
  const to = new Draft();
  rule(to, a, b);
  if (bits === 32) to.zeroExtend();
  return to.settle();
};

/** The lower 32 bits with zeros above: what a 32-bit move makes. */
export const zeroExtend32 = (a: Scalar): Scalar => (i64.fitsLow(a.umax) ? a : low(a));

/** The lower `bytes` (1, 2, 4) with zeros above: what a narrow load makes. */
export const zeroExtend = (a: Scalar, bytes: number): Scalar => {
  if (bytes === 8) return a;
  const mask = i64.lowMask(bytes * 8);
  if (i64.leU(a.umax, mask)) return a;
  const to = new Draft();
  to.bits = tnumAnd(a.bits, tnumConst(mask));
  const sameAbove = i64.eq(i64.andNot(a.umin, mask), i64.andNot(a.umax, mask));
  to.umin = sameAbove ? i64.and(a.umin, mask) : i64.ZERO;
  to.umax = sameAbove ? i64.and(a.umax, mask) : mask;
  if (bytes === 4) {
    to.u32min = a.u32min;
    to.u32max = a.u32max;
    to.s32min = a.s32min;
    to.s32max = a.s32max;
  }
  return to.settle();
};

/**
 * The lower `bits` (8, 16, 32) with copies of their sign above, cut to 32 bits of result where `width` is 32. The bits are known as far as
 * the range tells, as in linux (`coerce_reg_to_size_sx`, `coerce_subreg_to_size_sx`).
 */
export const signExtend = (a: Scalar, bits: 8 | 16 | 32, width: 32 | 64): Scalar => {
  if (isConst(a)) {
    const value = i64.extendS(a.bits.value, bits);
    return constant(width === 64 ? value : i64.low(value));
  }
  const least = width === 64 ? a.smin : i64.fromLowS(a.s32min);
  const greatest = width === 64 ? a.smax : i64.fromLowS(a.s32max);
  const to = new Draft();
  const first = i64.extendS(least, bits);
  const last = i64.extendS(greatest, bits);
  // Where the bits above are the same for all members and no sign lies between, the order of the ends stays.
  const sameAbove = i64.eq(i64.shrS(least, bits), i64.shrS(greatest, bits));
  const keepsOrder = sameAbove && i64.isNegative(first) === i64.isNegative(last);
  const top = i64.lowMask(bits - 1);
  const smin = keepsOrder ? first : i64.not(top);
  const smax = keepsOrder ? last : top;
  to.s32min = smin.lo;
  to.s32max = smax.lo;
  if (keepsOrder) {
    to.u32min = to.s32min >>> 0;
    to.u32max = to.s32max >>> 0;
    to.umin = smin;
    to.umax = smax;
    to.bits = tnumRange(smin, smax);
  }
  if (width === 64) {
    to.smin = smin;
    to.smax = smax;
    return to;
  }
  to.zeroExtend();
  return to.settle();
};

import type { Int64 } from "./int64.js";
import * as i64 from "./int64.js";

/**
 * Tracked numbers: what is known of each bit of a 64-bit word.
 *
 * A bit of `mask` that is set is unknown, and the same bit of `value` is then 0. The set that a tnum stands for is
 * `{ x | (x & ~mask) === value }`. Source of the idea: linux kernel/bpf/tnum.c; the arithmetic here is written from the definition
 * (carries of the least and the greatest member show which sum bits can differ).
 */
export interface Tnum {
  /** Bits known to be one. */
  readonly value: Int64;
  /** Bits that are not known. */
  readonly mask: Int64;
}

export const TNUM_UNKNOWN: Tnum = { value: i64.ZERO, mask: i64.ALL };

/** Exactly one number. */
export const tnumConst = (value: Int64): Tnum => ({ value, mask: i64.ZERO });

export const isConstTnum = (t: Tnum): boolean => i64.isZero(t.mask);

export const sameTnum = (a: Tnum, b: Tnum): boolean => a === b || (i64.eq(a.value, b.value) && i64.eq(a.mask, b.mask));

/** The greatest member, as unsigned number. */
export const tnumTop = (t: Tnum): Int64 => i64.or(t.value, t.mask);

/** The smallest tnum with all of `min` to `max` (unsigned, inclusive). */
export const tnumRange = (min: Int64, max: Int64): Tnum => {
  const mask = i64.lowMask(i64.bitLength(i64.xor(min, max)));
  return { value: i64.andNot(min, mask), mask };
};

/** Shifts by 0 to 63. */
export const tnumLsh = (a: Tnum, by: number): Tnum => ({ value: i64.shl(a.value, by), mask: i64.shl(a.mask, by) });
export const tnumRsh = (a: Tnum, by: number): Tnum => ({ value: i64.shrU(a.value, by), mask: i64.shrU(a.mask, by) });

/** Arithmetic shift of a word of `width` bits (32 or 64); the result is of the same width, zeros above. */
export const tnumArsh = (a: Tnum, by: number, width: 32 | 64): Tnum =>
  width === 64
    ? { value: i64.shrS(a.value, by), mask: i64.shrS(a.mask, by) }
    : { value: i64.fromLow(a.value.lo >> by), mask: i64.fromLow(a.mask.lo >> by) };

/** Sums: a bit is known where the greatest and the least sum agree and neither operand is in doubt. */
export const tnumAdd = (a: Tnum, b: Tnum): Tnum => {
  const doubt = i64.or(a.mask, b.mask);
  const least = i64.add(a.value, b.value);
  if (i64.isZero(doubt)) return tnumConst(least);
  const greatest = i64.add(least, i64.add(a.mask, b.mask));
  const mask = i64.or(i64.xor(least, greatest), doubt);
  return { value: i64.andNot(least, mask), mask };
};

export const tnumSub = (a: Tnum, b: Tnum): Tnum => {
  const doubt = i64.or(a.mask, b.mask);
  const difference = i64.sub(a.value, b.value);
  if (i64.isZero(doubt)) return tnumConst(difference);
  const mask = i64.or(i64.xor(i64.add(difference, a.mask), i64.sub(difference, b.mask)), doubt);
  return { value: i64.andNot(difference, mask), mask };
};

export const tnumAnd = (a: Tnum, b: Tnum): Tnum => {
  const value = i64.and(a.value, b.value);
  return { value, mask: i64.andNot(i64.and(tnumTop(a), tnumTop(b)), value) };
};

export const tnumOr = (a: Tnum, b: Tnum): Tnum => {
  const value = i64.or(a.value, b.value);
  return { value, mask: i64.andNot(i64.or(a.mask, b.mask), value) };
};

export const tnumXor = (a: Tnum, b: Tnum): Tnum => {
  const mask = i64.or(a.mask, b.mask);
  return { value: i64.andNot(i64.xor(a.value, b.value), mask), mask };
};

/** Products, bit by bit of `a`: a known one adds `b`, an unknown one adds an unknown amount of b's bits. */
export const tnumMul = (a: Tnum, b: Tnum): Tnum => {
  let doubt = tnumConst(i64.ZERO);
  const top = i64.bitLength(tnumTop(a));
  for (let bit = 0; bit < top; bit++) {
    const isOne = (i64.shrU(a.value, bit).lo & 1) !== 0;
    const isUnknown = (i64.shrU(a.mask, bit).lo & 1) !== 0;
    if (!isOne && !isUnknown) continue;
    const addend = isOne ? b.mask : tnumTop(b);
    doubt = tnumAdd(doubt, { value: i64.ZERO, mask: i64.shl(addend, bit) });
  }
  return tnumAdd(tnumConst(i64.mul(a.value, b.value)), doubt);
};

/** What both say, together. For tnums that contradict each other the result stands for nothing in particular. */
export const tnumIntersect = (a: Tnum, b: Tnum): Tnum => {
  const mask = i64.and(a.mask, b.mask);
  return { value: i64.andNot(i64.or(a.value, b.value), mask), mask };
};

/** Whether some number is in both. */
export const tnumOverlap = (a: Tnum, b: Tnum): boolean =>
  i64.isZero(i64.andNot(i64.xor(a.value, b.value), i64.or(a.mask, b.mask)));

/** Whether one number is in `t`. */
export const tnumHas = (t: Tnum, x: Int64): boolean => i64.eq(i64.andNot(x, t.mask), t.value);

/** Whether all members of `inner` are in `outer`. */
export const tnumContains = (outer: Tnum, inner: Tnum): boolean =>
  outer === inner ||
  (i64.isZero(i64.andNot(inner.mask, outer.mask)) && i64.eq(outer.value, i64.andNot(inner.value, outer.mask)));

/** The lower half, with a known upper half of zeros. */
export const tnumSubreg = (a: Tnum): Tnum => ({ value: i64.low(a.value), mask: i64.low(a.mask) });

/** `a` with its lower half replaced. */
export const tnumWithSubreg = (a: Tnum, low: Tnum): Tnum => ({
  value: i64.withLow(a.value, low.value.lo),
  mask: i64.withLow(a.mask, low.mask.lo),
});

/** Whether all members, moved by `off`, are multiples of `size` (a power of two up to 2^31). */
export const tnumAligned = (a: Tnum, off: number, size: number): boolean =>
  (((a.value.lo + off) | a.mask.lo) & (size - 1)) === 0;

/** Greatest number that messages have in decimal (U16_MAX). */
const MOST_DECIMAL = 0xffff;

/** As the kernel prints it: a number, or `(value; mask)` in hexadecimal. */
export const tnumText = (a: Tnum): string => {
  if (!isConstTnum(a)) return `(${i64.hex(a.value)}; ${i64.hex(a.mask)})`;
  return i64.toNumberU(a.value) <= MOST_DECIMAL ? i64.toNumberU(a.value).toString() : i64.hex(a.value);
};

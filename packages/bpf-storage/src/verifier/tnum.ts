/**
 * Tracked numbers: what is known of each bit of a 64-bit word.
 *
 * A bit of `mask` that is set is unknown, and the same bit of `value` is then 0. The set that a tnum stands for is
 * `{ x | (x & ~mask) === value }`. Source of the idea: linux kernel/bpf/tnum.c; the arithmetic here is written from the definition
 * (carries of the least and the greatest member show which sum bits can differ).
 */
export interface Tnum {
  /** Bits known to be one; unsigned, 64 bits. */
  readonly value: bigint;
  /** Bits that are not known; unsigned, 64 bits. */
  readonly mask: bigint;
}

export const U64_MAX = 0xffff_ffff_ffff_ffffn;
export const LOW32 = 0xffff_ffffn;
const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);

export const TNUM_UNKNOWN: Tnum = { value: 0n, mask: U64_MAX };

/** Exactly one number, taken modulo 2^64. */
export const tnumConst = (value: bigint): Tnum => ({ value: u64(value), mask: 0n });

export const isConstTnum = (t: Tnum): boolean => t.mask === 0n;

/** Position of the highest set bit plus one; 0 for 0. */
export const bitLength = (x: bigint): number => {
  if (x === 0n) return 0;
  const high = Number(x >> 32n);
  return high !== 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(Number(x & LOW32));
};

/** The smallest tnum with all of `min` to `max` (unsigned, inclusive). */
export const tnumRange = (min: bigint, max: bigint): Tnum => {
  const bits = bitLength(min ^ max);
  const mask = bits === 0 ? 0n : (1n << BigInt(bits)) - 1n;
  return { value: min & ~mask & U64_MAX, mask };
};

export const tnumLsh = (a: Tnum, by: bigint): Tnum => ({ value: u64(a.value << by), mask: u64(a.mask << by) });
export const tnumRsh = (a: Tnum, by: bigint): Tnum => ({ value: a.value >> by, mask: a.mask >> by });

/** Arithmetic shift of a word of `width` bits (32 or 64); the result is unsigned, of the same width. */
export const tnumArsh = (a: Tnum, by: bigint, width: 32 | 64): Tnum => ({
  value: BigInt.asUintN(width, BigInt.asIntN(width, a.value) >> by),
  mask: BigInt.asUintN(width, BigInt.asIntN(width, a.mask) >> by),
});

/** Sums: a bit is known where the greatest and the least sum agree and neither operand is in doubt. */
export const tnumAdd = (a: Tnum, b: Tnum): Tnum => {
  const least = a.value + b.value;
  const greatest = least + a.mask + b.mask;
  const mask = u64((least ^ greatest) | a.mask | b.mask);
  return { value: u64(least) & ~mask, mask };
};

export const tnumSub = (a: Tnum, b: Tnum): Tnum => {
  const difference = a.value - b.value;
  const mask = u64(((difference + a.mask) ^ (difference - b.mask)) | a.mask | b.mask);
  return { value: u64(difference) & ~mask, mask };
};

export const tnumAnd = (a: Tnum, b: Tnum): Tnum => {
  const value = a.value & b.value;
  return { value, mask: (a.value | a.mask) & (b.value | b.mask) & ~value };
};

export const tnumOr = (a: Tnum, b: Tnum): Tnum => {
  const value = a.value | b.value;
  return { value, mask: (a.mask | b.mask) & ~value };
};

export const tnumXor = (a: Tnum, b: Tnum): Tnum => {
  const mask = a.mask | b.mask;
  return { value: (a.value ^ b.value) & ~mask, mask };
};

/** Products, bit by bit of `a`: a known one adds `b`, an unknown one adds an unknown amount of b's bits. */
export const tnumMul = (a: Tnum, b: Tnum): Tnum => {
  let doubt: Tnum = { value: 0n, mask: 0n };
  const known = u64(a.value * b.value);
  let { value, mask } = a;
  let addend = b;
  while (value !== 0n || mask !== 0n) {
    if ((value & 1n) !== 0n) doubt = tnumAdd(doubt, { value: 0n, mask: addend.mask });
    else if ((mask & 1n) !== 0n) doubt = tnumAdd(doubt, { value: 0n, mask: addend.value | addend.mask });
    value >>= 1n;
    mask >>= 1n;
    addend = tnumLsh(addend, 1n);
  }
  return tnumAdd(tnumConst(known), doubt);
};

/** What both say, together. For tnums that contradict each other the result stands for nothing in particular. */
export const tnumIntersect = (a: Tnum, b: Tnum): Tnum => {
  const mask = a.mask & b.mask;
  return { value: (a.value | b.value) & ~mask, mask };
};

/** Whether some number is in both. */
export const tnumOverlap = (a: Tnum, b: Tnum): boolean => ((a.value ^ b.value) & ~(a.mask | b.mask)) === 0n;

/** Whether one number is in `t`. */
export const tnumHas = (t: Tnum, x: bigint): boolean => (x & ~t.mask & U64_MAX) === t.value;

/** The lower half, with a known upper half of zeros. */
export const tnumSubreg = (a: Tnum): Tnum => ({ value: a.value & LOW32, mask: a.mask & LOW32 });

/** `a` with its lower half replaced. */
export const tnumWithSubreg = (a: Tnum, low: Tnum): Tnum => ({
  value: (a.value & ~LOW32) | (low.value & LOW32),
  mask: (a.mask & ~LOW32) | (low.mask & LOW32),
});

/** Whether all members are multiples of `size` (a power of two). */
export const tnumAligned = (a: Tnum, size: number): boolean => ((a.value | a.mask) & BigInt(size - 1)) === 0n;

/** Greatest number that messages have in decimal (U16_MAX). */
const MOST_DECIMAL = 0xffffn;

/** As the kernel prints it: a number, or `(value; mask)` in hexadecimal. */
export const tnumText = (a: Tnum): string => {
  if (a.mask !== 0n) return `(0x${a.value.toString(16)}; 0x${a.mask.toString(16)})`;
  return a.value <= MOST_DECIMAL ? a.value.toString() : `0x${a.value.toString(16)}`;
};

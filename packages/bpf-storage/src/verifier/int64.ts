/**
 * Words of 64 bits as two halves of 32, with the operations of WebAssembly's i64 under its names: a word has no sign, operations have one
 * where it matters (`ltU`, `ltS`). Words are immutable, so that equal parts of many values can be one object. They stand in for BigInt where
 * every verified instruction passes: that is several times slower.
 */
export class Int64 {
  /** Both halves are kept as signed numbers of 32 bits; the constructor cuts what it gets to that. */
  readonly lo: number;
  readonly hi: number;

  constructor(lo: number, hi: number) {
    this.lo = lo | 0;
    this.hi = hi | 0;
  }
}

export const ZERO = new Int64(0, 0);
export const ONE = new Int64(1, 0);
/** All bits: -1, or the greatest unsigned number. */
export const ALL = new Int64(-1, -1);
/** The least and the greatest signed number. */
export const S_MIN = new Int64(0, 0x8000_0000);
export const S_MAX = new Int64(-1, 0x7fff_ffff);

const TWO_32 = 0x1_0000_0000;

/** `x`, sign extended. It is a whole number of at most 53 bits. */
export const fromNumber = (x: number): Int64 => new Int64(x, Math.floor(x / TWO_32));
/** A half with zeros above, whichever sign it has. */
export const fromLow = (lo: number): Int64 => new Int64(lo, 0);
/** A half with copies of its sign above. */
export const fromLowS = (lo: number): Int64 => new Int64(lo, lo >> 31);
/** As signed number: exact up to 53 bits, the nearest number that is exact beyond. */
export const toNumberS = (x: Int64): number => x.hi * TWO_32 + (x.lo >>> 0);
/** As unsigned number, exact as {@link toNumberS} is. */
export const toNumberU = (x: Int64): number => (x.hi >>> 0) * TWO_32 + (x.lo >>> 0);

/** `x` modulo 2^64. */
export const fromBigInt = (x: bigint): Int64 =>
  new Int64(Number(BigInt.asIntN(32, x)), Number(BigInt.asIntN(32, x >> 32n)));
export const toBigIntS = (x: Int64): bigint => (BigInt(x.hi) << 32n) | BigInt(x.lo >>> 0);
export const toBigIntU = (x: Int64): bigint => (BigInt(x.hi >>> 0) << 32n) | BigInt(x.lo >>> 0);

/** Whether the unsigned number fits in 32 bits. */
export const fitsLow = (x: Int64): boolean => x.hi === 0;

export const isZero = (x: Int64): boolean => (x.lo | x.hi) === 0;
export const isNegative = (x: Int64): boolean => x.hi < 0;
export const eq = (a: Int64, b: Int64): boolean => a.lo === b.lo && a.hi === b.hi;
export const ltU = (a: Int64, b: Int64): boolean => (a.hi === b.hi ? a.lo >>> 0 < b.lo >>> 0 : a.hi >>> 0 < b.hi >>> 0);
export const ltS = (a: Int64, b: Int64): boolean => (a.hi === b.hi ? a.lo >>> 0 < b.lo >>> 0 : a.hi < b.hi);
export const leU = (a: Int64, b: Int64): boolean => !ltU(b, a);
export const leS = (a: Int64, b: Int64): boolean => !ltS(b, a);

/** The less and the greater of two; the first where they are equal. */
export const minU = (a: Int64, b: Int64): Int64 => (ltU(b, a) ? b : a);
export const maxU = (a: Int64, b: Int64): Int64 => (ltU(a, b) ? b : a);
export const minS = (a: Int64, b: Int64): Int64 => (ltS(b, a) ? b : a);
export const maxS = (a: Int64, b: Int64): Int64 => (ltS(a, b) ? b : a);

export const and = (a: Int64, b: Int64): Int64 => new Int64(a.lo & b.lo, a.hi & b.hi);
/** `a` without the bits of `b`. */
export const andNot = (a: Int64, b: Int64): Int64 => new Int64(a.lo & ~b.lo, a.hi & ~b.hi);
export const or = (a: Int64, b: Int64): Int64 => new Int64(a.lo | b.lo, a.hi | b.hi);
export const xor = (a: Int64, b: Int64): Int64 => new Int64(a.lo ^ b.lo, a.hi ^ b.hi);
export const not = (a: Int64): Int64 => new Int64(~a.lo, ~a.hi);

/** The lower half, zeros above. */
export const low = (a: Int64): Int64 => (a.hi === 0 ? a : new Int64(a.lo, 0));
/** `a` with another lower half. */
export const withLow = (a: Int64, lo: number): Int64 => new Int64(lo, a.hi);
/** The lower `bits` (8, 16 or 32) with copies of their sign above. */
export const extendS = (a: Int64, bits: number): Int64 => {
  const lo = (a.lo << (32 - bits)) >> (32 - bits);
  return new Int64(lo, lo >> 31);
};

export const add = (a: Int64, b: Int64): Int64 => {
  const lo = (a.lo + b.lo) | 0;
  const carry = lo >>> 0 < a.lo >>> 0 ? 1 : 0;
  return new Int64(lo, a.hi + b.hi + carry);
};
export const sub = (a: Int64, b: Int64): Int64 => {
  const borrow = a.lo >>> 0 < b.lo >>> 0 ? 1 : 0;
  return new Int64(a.lo - b.lo, a.hi - b.hi - borrow);
};

/** Whether the exact sum or difference is not that of 64 bits. */
export const addOverflowsU = (a: Int64, b: Int64): boolean => ltU(add(a, b), a);
export const subOverflowsU = (a: Int64, b: Int64): boolean => ltU(a, b);
export const addOverflowsS = (a: Int64, b: Int64): boolean => {
  const { hi } = add(a, b);
  return ((a.hi ^ hi) & (b.hi ^ hi)) < 0;
};
export const subOverflowsS = (a: Int64, b: Int64): boolean => ((a.hi ^ b.hi) & (a.hi ^ sub(a, b).hi)) < 0;

/** The upper half of a product of two halves, all unsigned: school multiplication by parts of 16 bits. */
const mulHigh = (a: number, b: number): number => {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  return a1 * b1 + Math.floor(middle / 0x1_0000) + Math.floor(((middle % 0x1_0000) + a0 * b1) / 0x1_0000);
};
export const mul = (a: Int64, b: Int64): Int64 =>
  new Int64(Math.imul(a.lo, b.lo), mulHigh(a.lo, b.lo) + Math.imul(a.lo, b.hi) + Math.imul(a.hi, b.lo));

/** Shifts by 0 to 63. */
export const shl = (a: Int64, by: number): Int64 => {
  if (by === 0) return a;
  return by >= 32 ? new Int64(0, a.lo << (by - 32)) : new Int64(a.lo << by, (a.hi << by) | (a.lo >>> (32 - by)));
};
export const shrU = (a: Int64, by: number): Int64 => {
  if (by === 0) return a;
  return by >= 32 ? new Int64(a.hi >>> (by - 32), 0) : new Int64((a.lo >>> by) | (a.hi << (32 - by)), a.hi >>> by);
};
export const shrS = (a: Int64, by: number): Int64 => {
  if (by === 0) return a;
  return by >= 32
    ? new Int64(a.hi >> (by - 32), a.hi >> 31)
    : new Int64((a.lo >>> by) | (a.hi << (32 - by)), a.hi >> by);
};

/** Position of the highest set bit plus one; 0 for 0. */
export const bitLength = (a: Int64): number => (a.hi !== 0 ? 64 - Math.clz32(a.hi) : 32 - Math.clz32(a.lo));

const MASKS = Array.from({ length: 65 }, (_, bits) => (bits === 0 ? ZERO : shrU(ALL, 64 - bits)));
/** The lowest `bits` set, 0 to 64. */
export const lowMask = (bits: number): Int64 => MASKS[bits] as Int64;

/** In hexadecimal, unsigned, with `0x`. */
export const hex = (a: Int64): string =>
  a.hi === 0
    ? `0x${(a.lo >>> 0).toString(16)}`
    : `0x${(a.hi >>> 0).toString(16)}${(a.lo >>> 0).toString(16).padStart(8, "0")}`;

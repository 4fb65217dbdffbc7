import type { Int64 } from "./int64.js";
import * as i64 from "./int64.js";
import {
  isConstTnum,
  sameTnum,
  TNUM_UNKNOWN,
  type Tnum,
  tnumConst,
  tnumContains,
  tnumHas,
  tnumIntersect,
  tnumRange,
  tnumSubreg,
  tnumTop,
  tnumWithSubreg,
} from "./tnum.js";

/**
 * What is known of a 64-bit register: its bits, its range as unsigned and as signed number, and the same two ranges of its lower half.
 * All bounds are inclusive. Values are immutable; {@link Draft} is where a new one is worked out.
 */
export interface Scalar {
  readonly bits: Tnum;
  /** Unsigned, 64 bits. */
  readonly umin: Int64;
  readonly umax: Int64;
  /** Signed, 64 bits. */
  readonly smin: Int64;
  readonly smax: Int64;
  /** Unsigned, of the lower 32 bits. */
  readonly u32min: number;
  readonly u32max: number;
  /** Signed, of the lower 32 bits. */
  readonly s32min: number;
  readonly s32max: number;
}

export const U32_MAX = 0xffff_ffff;
export const S32_MIN = -0x8000_0000;
export const S32_MAX = 0x7fff_ffff;
const S32_MIN_64 = i64.fromNumber(S32_MIN);
const S32_MAX_64 = i64.fromNumber(S32_MAX);

/** A scalar that is being worked out: change bounds or bits, then {@link settle}. */
export class Draft implements Scalar {
  bits: Tnum = TNUM_UNKNOWN;
  umin = i64.ZERO;
  umax = i64.ALL;
  smin = i64.S_MIN;
  smax = i64.S_MAX;
  u32min = 0;
  u32max = U32_MAX;
  s32min = S32_MIN;
  s32max = S32_MAX;

  static of(from: Scalar): Draft {
    const to = new Draft();
    to.bits = from.bits;
    to.umin = from.umin;
    to.umax = from.umax;
    to.smin = from.smin;
    to.smax = from.smax;
    to.u32min = from.u32min;
    to.u32max = from.u32max;
    to.s32min = from.s32min;
    to.s32max = from.s32max;
    return to;
  }

  forget64(): void {
    this.umin = i64.ZERO;
    this.umax = i64.ALL;
    this.smin = i64.S_MIN;
    this.smax = i64.S_MAX;
  }

  forget32(): void {
    this.u32min = 0;
    this.u32max = U32_MAX;
    this.s32min = S32_MIN;
    this.s32max = S32_MAX;
  }

  /** Sets the upper half to zero: 64-bit bounds become those of the lower half. */
  zeroExtend(): void {
    this.bits = tnumSubreg(this.bits);
    this.umin = i64.fromLow(this.u32min);
    this.umax = i64.fromLow(this.u32max);
    if (this.s32min >= 0) {
      this.smin = i64.fromLow(this.s32min);
      this.smax = i64.fromLowS(this.s32max);
    } else {
      this.smin = i64.ZERO;
      this.smax = i64.lowMask(32);
    }
  }

  /** Tightens every part by every other; what contradicts itself becomes unknown (no number is in it, so anything is right). */
  settle(): Scalar {
    this.tighten();
    return this.isEmpty() ? UNKNOWN : this;
  }

  /** As {@link settle}, for what a comparison has taught: nothing where that cannot be. */
  settleOutcome(): Scalar | undefined {
    this.tighten();
    return this.isEmpty() ? undefined : this;
  }

  private tighten(): void {
    this.boundsFromBits();
    if (this.isOneNumber()) return;
    // Linux makes three rounds. What one of them leaves as it is, the next one would too.
    for (let round = 0; round < 3 && this.deduce(); round++);
    this.bitsFromBounds();
    this.boundsFromBits();
  }

  /** Whether the parts contradict each other, so that no number is left. */
  isEmpty(): boolean {
    return (
      i64.ltU(this.umax, this.umin) ||
      i64.ltS(this.smax, this.smin) ||
      this.u32min > this.u32max ||
      this.s32min > this.s32max
    );
  }

  /** Whether all parts say the same single number: there is nothing to tighten. */
  private isOneNumber(): boolean {
    const { value, mask } = this.bits;
    return (
      i64.isZero(mask) &&
      i64.eq(this.umin, value) &&
      i64.eq(this.umax, value) &&
      i64.eq(this.smin, value) &&
      i64.eq(this.smax, value) &&
      this.u32min === this.u32max &&
      this.s32min === this.s32max
    );
  }

  private boundsFromBits(): void {
    const { bits } = this;
    const { value, mask } = bits;
    const top = tnumTop(bits);
    this.umin = i64.maxU(this.umin, value);
    this.umax = i64.minU(this.umax, top);
    // The least signed member has an unknown sign bit set, the greatest has it clear.
    this.smin = i64.maxS(this.smin, i64.isNegative(mask) ? i64.or(value, i64.S_MIN) : value);
    this.smax = i64.minS(this.smax, i64.isNegative(mask) ? i64.and(top, i64.S_MAX) : top);
    this.u32min = Math.max(this.u32min, value.lo >>> 0);
    this.u32max = Math.min(this.u32max, top.lo >>> 0);
    this.s32min = Math.max(this.s32min, value.lo | (mask.lo & S32_MIN));
    this.s32max = Math.min(this.s32max, value.lo | (mask.lo & S32_MAX));
  }

  /** One round; whether it found anything. */
  private deduce(): boolean {
    const { bits, umin, umax, smin, smax, u32min, u32max, s32min, s32max } = this;
    this.lowFromWhole();
    this.signs32();
    this.signs64();
    this.wholeFromLow();
    return !(
      this.u32min === u32min &&
      this.u32max === u32max &&
      this.s32min === s32min &&
      this.s32max === s32max &&
      i64.eq(this.umin, umin) &&
      i64.eq(this.umax, umax) &&
      i64.eq(this.smin, smin) &&
      i64.eq(this.smax, smax) &&
      sameTnum(this.bits, bits)
    );
  }

  /** Where the upper halves of both ends are equal, the lower halves are ends too. */
  private lowFromWhole(): void {
    const { umin, umax, smin, smax } = this;
    if (umin.hi === umax.hi) this.lowBetween(umin.lo, umax.lo);
    if (smin.hi === smax.hi) this.lowBetween(smin.lo, smax.lo);
    // From one upper half to the next, the lower half can run through the signed numbers without a break.
    if (smin.hi + 1 === smax.hi) this.lowSignedAcross(smin.lo, smax.lo);
    if ((umin.hi >>> 0) + 1 === umax.hi >>> 0) this.lowSignedAcross(umin.lo, umax.lo);
  }

  private lowBetween(from: number, to: number): void {
    this.u32min = Math.max(this.u32min, from >>> 0);
    this.u32max = Math.min(this.u32max, to >>> 0);
    if (from > to) return;
    this.s32min = Math.max(this.s32min, from);
    this.s32max = Math.min(this.s32max, to);
  }

  private lowSignedAcross(from: number, to: number): void {
    if (from >= 0 || to < 0) return;
    this.s32min = Math.max(this.s32min, from);
    this.s32max = Math.min(this.s32max, to);
  }

  /** Where a range does not cross the sign, signed and unsigned order agree. */
  private signs32(): void {
    if ((this.u32min | 0) <= (this.u32max | 0)) {
      this.s32min = Math.max(this.s32min, this.u32min | 0);
      this.s32max = Math.min(this.s32max, this.u32max | 0);
    }
    if (this.s32min >>> 0 <= this.s32max >>> 0) {
      this.u32min = Math.max(this.u32min, this.s32min >>> 0);
      this.u32max = Math.min(this.u32max, this.s32max >>> 0);
    } else if (this.u32max < this.s32min >>> 0) {
      // Of the signed range, only the part that is not negative meets the unsigned one; below, only the negative part.
      this.s32min = this.u32min | 0;
      this.u32max = Math.min(this.u32max, this.s32max >>> 0);
    } else if (this.s32max >>> 0 < this.u32min) {
      this.s32max = this.u32max | 0;
      this.u32min = Math.max(this.u32min, this.s32min >>> 0);
    }
  }

  private signs64(): void {
    if (i64.leS(this.umin, this.umax)) {
      this.smin = i64.maxS(this.smin, this.umin);
      this.smax = i64.minS(this.smax, this.umax);
    }
    if (i64.leU(this.smin, this.smax)) {
      this.umin = i64.maxU(this.umin, this.smin);
      this.umax = i64.minU(this.umax, this.smax);
    } else if (i64.ltU(this.umax, this.smin)) {
      this.smin = this.umin;
      this.umax = i64.minU(this.umax, this.smax);
    } else if (i64.ltU(this.smax, this.umin)) {
      this.smax = this.umax;
      this.umin = i64.maxU(this.umin, this.smin);
    }
  }

  /** The lower half bounds the whole from below by the least upper half, from above by the greatest. */
  private wholeFromLow(): void {
    this.umin = lowAtLeast(this.umin, this.u32min);
    this.umax = lowAtMost(this.umax, this.u32max);
    this.smin = lowAtLeast(this.smin, this.u32min);
    this.smax = lowAtMost(this.smax, this.u32max);
    // Within 32 signed bits the whole is the sign extension of its lower half; linux looks at it where that is not negative.
    if (this.s32min >= 0 && i64.leS(S32_MIN_64, this.smin) && i64.leS(this.smax, S32_MAX_64)) {
      this.smin = i64.fromLowS(this.s32min);
      this.smax = i64.fromLowS(this.s32max);
      this.umin = this.smin;
      this.umax = this.smax;
      this.bits = tnumIntersect(this.bits, tnumRange(this.umin, this.umax));
    }
  }

  private bitsFromBounds(): void {
    const whole = tnumIntersect(this.bits, tnumRange(this.umin, this.umax));
    const range = tnumRange(i64.fromLow(this.u32min), i64.fromLow(this.u32max));
    this.bits = tnumWithSubreg(whole, tnumIntersect(tnumSubreg(whole), range));
  }
}

/** `x`, or where its lower half is less than `least` (unsigned), `x` with that. */
const lowAtLeast = (x: Int64, least: number): Int64 => (x.lo >>> 0 < least ? i64.withLow(x, least) : x);
const lowAtMost = (x: Int64, greatest: number): Int64 => (x.lo >>> 0 > greatest ? i64.withLow(x, greatest) : x);

export const UNKNOWN: Scalar = new Draft();

/** Small constants are made once: there are many of them. */
const SMALL = 256;
const small: (Scalar | undefined)[] = [];

/** Exactly `value`. */
export const constant = (value: Int64): Scalar => {
  const isSmall = i64.fitsLow(value) && value.lo >>> 0 < SMALL;
  if (!isSmall) return newConstant(value);
  const made = small[value.lo] ?? newConstant(value);
  small[value.lo] = made;
  return made;
};

const newConstant = (value: Int64): Scalar => {
  const to = new Draft();
  to.bits = tnumConst(value);
  to.umin = to.umax = to.smin = to.smax = value;
  to.u32min = to.u32max = value.lo >>> 0;
  to.s32min = to.s32max = value.lo;
  return to;
};

export const ZERO: Scalar = constant(i64.ZERO);

export const isConst = (s: Scalar): boolean => isConstTnum(s.bits);
export const isZero = (s: Scalar): boolean => isConst(s) && i64.isZero(s.bits.value);
/** Of a constant: the number, signed; exact up to 53 bits. */
export const constOf = (s: Scalar): number => i64.toNumberS(s.bits.value);

/** From `least` to `greatest`, signed, inclusive. */
export const signedRange = (least: number, greatest: number): Scalar => {
  const to = new Draft();
  to.smin = i64.fromNumber(least);
  to.smax = i64.fromNumber(greatest);
  return to.settle();
};

/** Bits that the greatest member takes, 0 to 64. */
export const width = (s: Scalar): number => i64.bitLength(s.umax);

/** Whether every number of `inner` is in `outer`, part by part. */
export const contains = (outer: Scalar, inner: Scalar): boolean =>
  outer === inner ||
  (i64.leU(outer.umin, inner.umin) &&
    i64.leU(inner.umax, outer.umax) &&
    i64.leS(outer.smin, inner.smin) &&
    i64.leS(inner.smax, outer.smax) &&
    outer.u32min <= inner.u32min &&
    outer.u32max >= inner.u32max &&
    outer.s32min <= inner.s32min &&
    outer.s32max >= inner.s32max &&
    tnumContains(outer.bits, inner.bits));

/** Whether both say the same, part by part. */
export const sameScalar = (a: Scalar, b: Scalar): boolean =>
  a === b ||
  (sameTnum(a.bits, b.bits) &&
    i64.eq(a.umin, b.umin) &&
    i64.eq(a.umax, b.umax) &&
    i64.eq(a.smin, b.smin) &&
    i64.eq(a.smax, b.smax) &&
    a.u32min === b.u32min &&
    a.u32max === b.u32max &&
    a.s32min === b.s32min &&
    a.s32max === b.s32max);

/** Whether the concrete number `x` is in `s`: in all of its parts. */
export const has = (s: Scalar, x: Int64): boolean =>
  i64.leU(s.umin, x) &&
  i64.leU(x, s.umax) &&
  i64.leS(s.smin, x) &&
  i64.leS(x, s.smax) &&
  x.lo >>> 0 >= s.u32min &&
  x.lo >>> 0 <= s.u32max &&
  x.lo >= s.s32min &&
  x.lo <= s.s32max &&
  tnumHas(s.bits, x);

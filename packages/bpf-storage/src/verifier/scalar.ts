import {
  bitLength,
  isConstTnum,
  LOW32,
  TNUM_UNKNOWN,
  type Tnum,
  tnumConst,
  tnumIntersect,
  tnumRange,
  tnumSubreg,
  tnumWithSubreg,
  U64_MAX,
} from "./tnum.js";

/**
 * What is known of a 64-bit register: its bits, its range as unsigned and as signed number, and the same two ranges of its lower half.
 * All bounds are inclusive. Values are immutable; {@link Draft} is where a new one is worked out.
 */
export interface Scalar {
  readonly bits: Tnum;
  /** Unsigned, 64 bits. */
  readonly umin: bigint;
  readonly umax: bigint;
  /** Signed, 64 bits. */
  readonly smin: bigint;
  readonly smax: bigint;
  /** Unsigned, of the lower 32 bits. */
  readonly u32min: number;
  readonly u32max: number;
  /** Signed, of the lower 32 bits. */
  readonly s32min: number;
  readonly s32max: number;
}

export const S64_MIN = -(1n << 63n);
export const S64_MAX = (1n << 63n) - 1n;
export const U32_MAX = 0xffff_ffff;
export const S32_MIN = -0x8000_0000;
export const S32_MAX = 0x7fff_ffff;
const SIGN64 = 1n << 63n;

const s64 = (x: bigint): bigint => BigInt.asIntN(64, x);
const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** A scalar that is being worked out: change bounds or bits, then {@link settle}. */
export class Draft implements Scalar {
  bits: Tnum = TNUM_UNKNOWN;
  umin = 0n;
  umax = U64_MAX;
  smin = S64_MIN;
  smax = S64_MAX;
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
    this.umin = 0n;
    this.umax = U64_MAX;
    this.smin = S64_MIN;
    this.smax = S64_MAX;
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
    this.umin = BigInt(this.u32min);
    this.umax = BigInt(this.u32max);
    if (this.s32min >= 0) {
      this.smin = BigInt(this.s32min);
      this.smax = BigInt(this.s32max);
    } else {
      this.smin = 0n;
      this.smax = LOW32;
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
    this.deduce();
    this.deduce();
    this.deduce();
    this.bitsFromBounds();
    this.boundsFromBits();
  }

  /** Whether the parts contradict each other, so that no number is left. */
  isEmpty(): boolean {
    return this.umin > this.umax || this.smin > this.smax || this.u32min > this.u32max || this.s32min > this.s32max;
  }

  private boundsFromBits(): void {
    const { value, mask } = this.bits;
    const top = value | mask;
    this.umin = max(this.umin, value);
    this.umax = min(this.umax, top);
    // The least signed member has an unknown sign bit set, the greatest has it clear.
    this.smin = max(this.smin, s64(value | (mask & SIGN64)));
    this.smax = min(this.smax, s64(value | (mask & ~SIGN64)));
    const low = Number(value & LOW32);
    const unknown = Number(mask & LOW32);
    this.u32min = Math.max(this.u32min, low);
    this.u32max = Math.min(this.u32max, (low | unknown) >>> 0);
    this.s32min = Math.max(this.s32min, low | (unknown & S32_MIN));
    this.s32max = Math.min(this.s32max, low | (unknown & S32_MAX));
  }

  private deduce(): void {
    this.lowFromWhole();
    this.signs32();
    this.signs64();
    this.wholeFromLow();
  }

  /** Where the upper halves of both ends are equal, the lower halves are ends too. */
  private lowFromWhole(): void {
    if (this.umin >> 32n === this.umax >> 32n) {
      this.u32min = Math.max(this.u32min, Number(this.umin & LOW32));
      this.u32max = Math.min(this.u32max, Number(this.umax & LOW32));
      this.lowSigned(this.umin, this.umax);
    }
    if (this.smin >> 32n === this.smax >> 32n) this.lowSigned(this.smin, this.smax);
    if (this.smin >> 32n === this.smax >> 32n) {
      this.u32min = Math.max(this.u32min, Number(this.smin & LOW32));
      this.u32max = Math.min(this.u32max, Number(this.smax & LOW32));
    }
    // From -1 to 0 in the upper half, the lower half runs through the signed numbers without a break.
    const above = this.smin >> 32n;
    if (above + 1n === this.smax >> 32n) this.lowSignedAcross(this.smin, this.smax);
    const unsignedAbove = this.umin >> 32n;
    if (unsignedAbove + 1n === this.umax >> 32n) this.lowSignedAcross(this.umin, this.umax);
  }

  private lowSigned(from: bigint, to: bigint): void {
    const least = Number(BigInt.asIntN(32, from));
    const greatest = Number(BigInt.asIntN(32, to));
    if (least > greatest) return;
    this.s32min = Math.max(this.s32min, least);
    this.s32max = Math.min(this.s32max, greatest);
  }

  private lowSignedAcross(from: bigint, to: bigint): void {
    const least = Number(BigInt.asIntN(32, from));
    const greatest = Number(BigInt.asIntN(32, to));
    if (least >= 0 || greatest < 0) return;
    this.s32min = Math.max(this.s32min, least);
    this.s32max = Math.min(this.s32max, greatest);
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
    if (s64(this.umin) <= s64(this.umax)) {
      this.smin = max(this.smin, s64(this.umin));
      this.smax = min(this.smax, s64(this.umax));
    }
    if (u64(this.smin) <= u64(this.smax)) {
      this.umin = max(this.umin, u64(this.smin));
      this.umax = min(this.umax, u64(this.smax));
    } else if (this.umax < u64(this.smin)) {
      this.smin = s64(this.umin);
      this.umax = min(this.umax, u64(this.smax));
    } else if (u64(this.smax) < this.umin) {
      this.smax = s64(this.umax);
      this.umin = max(this.umin, u64(this.smin));
    }
  }

  /** The lower half bounds the whole from below by the least upper half, from above by the greatest. */
  private wholeFromLow(): void {
    const low = BigInt(this.u32min);
    const high = BigInt(this.u32max);
    this.umin = max(this.umin, (this.umin & ~LOW32) | low);
    this.umax = min(this.umax, (this.umax & ~LOW32) | high);
    this.smin = max(this.smin, (this.smin & ~LOW32) | low);
    this.smax = min(this.smax, (this.smax & ~LOW32) | high);
    // Within 32 signed bits the whole is the sign extension of its lower half; linux looks at it where that is not negative.
    if (this.s32min >= 0 && this.smin >= BigInt(S32_MIN) && this.smax <= BigInt(S32_MAX)) {
      this.smin = BigInt(this.s32min);
      this.smax = BigInt(this.s32max);
      this.umin = u64(this.smin);
      this.umax = u64(this.smax);
      this.bits = tnumIntersect(this.bits, tnumRange(this.umin, this.umax));
    }
  }

  private bitsFromBounds(): void {
    const whole = tnumIntersect(this.bits, tnumRange(this.umin, this.umax));
    const low = tnumIntersect(tnumSubreg(whole), tnumRange(BigInt(this.u32min), BigInt(this.u32max)));
    this.bits = tnumWithSubreg(whole, low);
  }
}

export const UNKNOWN: Scalar = new Draft();

/** Exactly `value`, taken modulo 2^64. */
export const constant = (value: bigint): Scalar => {
  const to = new Draft();
  to.bits = tnumConst(value);
  to.umin = to.umax = u64(value);
  to.smin = to.smax = s64(value);
  to.u32min = to.u32max = Number(value & LOW32);
  to.s32min = to.s32max = to.u32min | 0;
  return to;
};

export const ZERO: Scalar = constant(0n);

export const isConst = (s: Scalar): boolean => isConstTnum(s.bits);
export const isZero = (s: Scalar): boolean => s.bits.mask === 0n && s.bits.value === 0n;

/** From `least` to `greatest`, signed, inclusive. */
export const signedRange = (least: bigint, greatest: bigint): Scalar => {
  const to = new Draft();
  to.smin = least;
  to.smax = greatest;
  return to.settle();
};

/** Bits that the greatest member takes, 0 to 64. */
export const width = (s: Scalar): number => bitLength(s.umax);

/** Whether every number of `inner` is in `outer`, part by part. */
export const contains = (outer: Scalar, inner: Scalar): boolean =>
  outer === inner ||
  (outer.umin <= inner.umin &&
    outer.umax >= inner.umax &&
    outer.smin <= inner.smin &&
    outer.smax >= inner.smax &&
    outer.u32min <= inner.u32min &&
    outer.u32max >= inner.u32max &&
    outer.s32min <= inner.s32min &&
    outer.s32max >= inner.s32max &&
    (inner.bits.mask & ~outer.bits.mask) === 0n &&
    outer.bits.value === (inner.bits.value & ~outer.bits.mask));

export const sameScalar = (a: Scalar, b: Scalar): boolean => a === b || (contains(a, b) && contains(b, a));

/** Whether the concrete number `x` (unsigned, 64 bits) is in `s`: in all of its parts. */
export const has = (s: Scalar, x: bigint): boolean => {
  const signed = s64(x);
  const low = Number(x & LOW32);
  return (
    x >= s.umin &&
    x <= s.umax &&
    signed >= s.smin &&
    signed <= s.smax &&
    low >= s.u32min &&
    low <= s.u32max &&
    (low | 0) >= s.s32min &&
    (low | 0) <= s.s32max &&
    (x & ~s.bits.mask) === s.bits.value
  );
};

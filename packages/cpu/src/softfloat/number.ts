/** What a floating-point datum is, once its format has been taken apart. The order matters: everything from QuietNaN on is not a number. */
export enum Kind {
  Zero = 0,
  Finite = 1,
  Infinity = 2,
  QuietNaN = 3,
  SignalingNaN = 4,
  /** An f80 encoding whose integer bit contradicts its exponent: invalid in any operation. SDM Vol. 1, 8.2.2, Table 8-3. */
  Unsupported = 5,
}

/** A binary interchange format as rounding sees it: significand bits (integer bit included) and exponents of normal numbers. */
export interface Format {
  readonly precision: 24 | 53 | 64;
  readonly minExponent: number;
  readonly maxExponent: number;
}

/** IEEE 754 binary32. */
export const BINARY32: Format = { precision: 24, minExponent: -126, maxExponent: 127 };
/** IEEE 754 binary64. */
export const BINARY64: Format = { precision: 53, minExponent: -1022, maxExponent: 1023 };

/** The double extended format (f80), by significand bits: the x87's precision control narrows results but not their exponents. */
export const EXTENDED: Readonly<Record<24 | 53 | 64, Format>> = {
  24: { precision: 24, minExponent: -16382, maxExponent: 16383 },
  53: { precision: 53, minExponent: -16382, maxExponent: 16383 },
  64: { precision: 64, minExponent: -16382, maxExponent: 16383 },
};

/** Significand of the default ("real indefinite") NaN: integer and quiet bit. Its sign is negative. SDM Vol. 1, 4.8.3.7. */
export const INDEFINITE_HI = 0xc0000000;
/** The quiet bit in the high word of a NaN's significand. */
export const QUIET_BIT = 0x40000000;

/**
 * A number of any format, unpacked: `(-1)^negative * hi:lo.ext * 2^(exp - 63)`, where `hi:lo` is a 64-bit significand whose leading one is
 * at bit 63 (so the value is in `[2^exp, 2^(exp+1))`) and `ext` holds 32 more bits below it, the lowest of which is sticky.
 *
 * Every format shares the layout, so one adder, multiplier, divider and rooter serve f32, f64 and f80, and a NaN's payload is cut or
 * extended by a conversion exactly as the processor does it. Objects are scratch registers: allocated once, overwritten for ever.
 */
export class Unpacked {
  kind: Kind = Kind.Zero;
  negative = false;
  /** True for a nonzero operand that came in with a denormal encoding (it is normalised here). */
  denormal = false;
  /** Unbiased exponent of the leading one. Meaningful for `Kind.Finite` only. */
  exp = 0;
  hi = 0;
  lo = 0;
  ext = 0;

  isNaN(): boolean {
    return this.kind >= Kind.QuietNaN;
  }

  copyFrom(other: Unpacked): void {
    this.kind = other.kind;
    this.negative = other.negative;
    this.denormal = other.denormal;
    this.exp = other.exp;
    this.hi = other.hi;
    this.lo = other.lo;
    this.ext = other.ext;
  }

  setSpecial(kind: Kind.Zero | Kind.Infinity, negative: boolean): void {
    this.kind = kind;
    this.negative = negative;
    this.denormal = false;
    this.exp = 0;
    this.hi = kind === Kind.Zero ? 0 : 0x80000000;
    this.lo = 0;
    this.ext = 0;
  }

  /** Becomes the signed 64-bit integer `hi:lo`. */
  setInteger(lo: number, hi: number): void {
    if ((lo | hi) >>> 0 === 0) {
      this.setSpecial(Kind.Zero, false);
      return;
    }
    this.kind = Kind.Finite;
    this.negative = (hi | 0) < 0;
    this.denormal = false;
    this.exp = 63;
    this.lo = (this.negative ? -lo : lo) >>> 0;
    this.hi = (this.negative ? ~hi + (this.lo === 0 ? 1 : 0) : hi) >>> 0;
    this.ext = 0;
    this.normalize();
  }

  /** Becomes the default NaN. */
  setIndefinite(): void {
    this.kind = Kind.QuietNaN;
    this.negative = true;
    this.denormal = false;
    this.hi = INDEFINITE_HI;
    this.lo = 0;
    this.ext = 0;
  }

  /** Makes a NaN quiet, keeping the rest of its payload. */
  quiet(): void {
    this.kind = Kind.QuietNaN;
    this.hi = (this.hi | QUIET_BIT) >>> 0;
  }

  /** Shifts `hi:lo:ext` right by `count` (any non-negative number), leaving in the lowest bit whether a one was lost. */
  shiftRightJam(count: number): void {
    let { hi, lo, ext } = this;
    for (let words = Math.min(count >>> 5, 3); words > 0; words--) {
      ext = lo | (ext !== 0 ? 1 : 0);
      lo = hi;
      hi = 0;
    }
    const n = count & 31;
    if (n !== 0) {
      const lost = ext << (32 - n);
      ext = (lo << (32 - n)) | (ext >>> n) | (lost !== 0 ? 1 : 0);
      lo = (hi << (32 - n)) | (lo >>> n);
      hi >>>= n;
    }
    this.hi = hi >>> 0;
    this.lo = lo >>> 0;
    this.ext = ext >>> 0;
  }

  /** Shifts a nonzero `hi:lo:ext` left until bit 63 of `hi:lo` is set, lowering `exp` to match. */
  normalize(): void {
    let { hi, lo, ext } = this;
    while (hi === 0) {
      hi = lo;
      lo = ext;
      ext = 0;
      this.exp -= 32;
    }
    const n = Math.clz32(hi);
    if (n !== 0) {
      hi = (hi << n) | (lo >>> (32 - n));
      lo = (lo << n) | (ext >>> (32 - n));
      ext <<= n;
      this.exp -= n;
    }
    this.hi = hi >>> 0;
    this.lo = lo >>> 0;
    this.ext = ext >>> 0;
  }
}

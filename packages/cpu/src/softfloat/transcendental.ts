import {
  angle,
  bitLength,
  divide,
  exp2m1,
  log2,
  log2p1,
  multiply,
  negate,
  PI,
  type Real,
  roundTo80,
  sineAndCosine,
} from "./elementary.js";
import { pack80Top } from "./encoding.js";
import { EXTENDED, type Format, Kind, type Unpacked } from "./number.js";
import { Flag } from "./types.js";
import { SoftFloat80 } from "./x87.js";

/** Arguments of the trigonometric functions are below 2^63 in magnitude. */
const TRIGONOMETRIC_LIMIT = 63;

/** Below 2^this a sine or tangent is its argument and a cosine 1.0, in every rounding mode, as on processors. */
const LINEAR_LIMIT = -68;

/** The exact value of a finite number. */
function realOf({ hi, lo, exp, negative }: Unpacked): Real {
  const m = (BigInt(hi) << 32n) | BigInt(lo);
  return { m: negative ? -m : m, e: exp - 63 };
}

const ONE: Real = { m: 1n, e: 0 };
const magnitude = ({ m, e }: Real): Real => ({ m: m < 0n ? -m : m, e });

/**
 * The x87's transcendental functions, within one unit in the last place of the processor's (which are that close to the exact result,
 * SDM Vol. 1, 8.3.10). Results other than the special ones count as inexact, as on processors. Operands: a is ST(0), b is ST(1).
 */
export class Transcendental80 extends SoftFloat80 {
  /** Second result of FSINCOS (the cosine) and FPTAN (1.0), an f80. */
  secondLo = 0;
  secondHi = 0;
  secondSe = 0;
  /** The argument of a trigonometric function was 2^63 or more, and nothing was done: C2. */
  outOfRange = false;
  /** The value being rounded is not exact. */
  #approximate = false;

  /** F2XM1: 2^a - 1. Beyond [-1, 1], where the result is undefined, it is a itself, as on processors; so it is for 1. */
  f2xm1(): void {
    this.begin();
    const { a, r } = this;
    if (!this.propagateUnaryNaN()) {
      this.noteDenormal(a);
      r.copyFrom(a);
      if (a.kind === Kind.Infinity && a.negative) this.#setPower(0, true);
      else if (a.kind === Kind.Finite && a.exp < 0) this.#deliver(exp2m1(realOf(a)));
      else if (a.kind === Kind.Finite) {
        this.#noteInexact();
        if (a.negative && a.exp === 0 && this.#isPowerOfTwo(a)) this.#setPower(-1, true);
      }
    }
    this.#put();
  }

  /** FYL2X: b * log2(a). */
  fyl2x(): void {
    this.begin();
    const { a, b, r } = this;
    if (!this.propagateNaN()) {
      const zero = a.kind === Kind.Zero;
      const one = a.kind === Kind.Finite && a.exp === 0 && this.#isPowerOfTwo(a);
      const logInfinite = zero || a.kind === Kind.Infinity;
      const invalid =
        (a.negative && !zero) || (logInfinite && b.kind === Kind.Zero) || (one && b.kind === Kind.Infinity);
      if (invalid) this.invalid();
      else {
        const negative = b.negative !== (zero || (a.kind === Kind.Finite && a.exp < 0));
        if (zero && b.kind === Kind.Finite) this.flags |= Flag.Z;
        else this.noteDenormals(a, b);
        if (logInfinite || b.kind === Kind.Infinity) r.setSpecial(Kind.Infinity, negative);
        else if (one || b.kind === Kind.Zero) r.setSpecial(Kind.Zero, negative);
        else this.#deliver(multiply(realOf(b), log2(realOf(a))));
      }
    }
    this.#put();
  }

  /** FYL2XP1: b * log2(a + 1). At a <= -1, where the result is undefined, it is a itself, as on processors. */
  fyl2xp1(): void {
    this.begin();
    const { a, b, r } = this;
    if (!this.propagateNaN()) {
      const infinite = a.kind === Kind.Infinity;
      const invalid =
        (infinite && (a.negative || b.kind === Kind.Zero)) || (a.kind === Kind.Zero && b.kind === Kind.Infinity);
      if (invalid) this.invalid();
      else {
        this.noteDenormals(a, b);
        const negative = a.negative !== b.negative;
        if (infinite || b.kind === Kind.Infinity) r.setSpecial(Kind.Infinity, negative);
        else if (a.kind === Kind.Zero || b.kind === Kind.Zero) r.setSpecial(Kind.Zero, negative);
        else if (a.negative && a.exp >= 0) {
          r.copyFrom(a);
          this.#noteInexact();
        } else this.#deliver(multiply(realOf(b), log2p1(realOf(a))));
      }
    }
    this.#put();
  }

  /** FPATAN: the angle of the point (a, b). */
  fpatan(): void {
    this.begin();
    const { a, b, r } = this;
    if (!this.propagateNaN()) {
      this.noteDenormals(a, b);
      if (b.kind === Kind.Infinity) {
        this.#deliverAngle(a.kind !== Kind.Infinity ? 2n : a.negative ? 3n : 1n);
      } else if (a.kind === Kind.Infinity || b.kind === Kind.Zero) {
        if (a.negative) this.#deliverAngle(4n);
        else r.setSpecial(Kind.Zero, b.negative);
      } else if (a.kind === Kind.Zero) {
        this.#deliverAngle(2n);
      } else {
        this.#deliver(roundTo80(angle(realOf(b), realOf(a))));
      }
    }
    this.#put();
  }

  /** FSIN. */
  fsin(): void {
    this.#trigonometric((x) => x.sine, false);
  }

  /** FCOS. */
  fcos(): void {
    this.#trigonometric((x) => x.cosine, true);
  }

  /** FSINCOS: the sine, and the cosine as second result. */
  fsincos(): void {
    this.fcos();
    [this.secondLo, this.secondHi, this.secondSe] = [this.lo, this.hi, this.se];
    const { flags } = this;
    this.fsin();
    this.flags |= flags;
  }

  /** FPTAN: the tangent, and as second result 1.0, or what was propagated as a NaN. */
  fptan(): void {
    this.#trigonometric((x) => divide(x.sine, x.cosine), false);
    const nan = this.r.isNaN();
    this.secondLo = nan ? this.lo : 0;
    this.secondHi = nan ? this.hi : 0x80000000;
    this.secondSe = nan ? this.se : 0x3fff;
  }

  /** f(a) of an odd or even function, itself given for a >= 0. */
  #trigonometric(f: (x: ReturnType<typeof sineAndCosine>) => Real, even: boolean): void {
    this.begin();
    this.outOfRange = false;
    const { a, r } = this;
    if (!this.propagateUnaryNaN()) {
      if (a.kind === Kind.Infinity) this.invalid();
      else {
        r.copyFrom(a);
        this.outOfRange = a.kind === Kind.Finite && a.exp >= TRIGONOMETRIC_LIMIT;
        if (a.kind === Kind.Zero) {
          if (even) this.#setPower(0, false);
        } else if (!this.outOfRange) {
          this.noteDenormal(a);
          const x = magnitude(realOf(a));
          const value = f(a.exp < LINEAR_LIMIT ? { sine: x, cosine: ONE } : sineAndCosine(x));
          this.#deliver(a.negative && !even ? negate(value) : value);
        }
      }
    }
    this.#put();
  }

  #noteInexact(): void {
    if (!this.operandFault()) this.flags |= Flag.P;
  }

  #isPowerOfTwo(x: Unpacked): boolean {
    return x.hi === 0x80000000 && x.lo === 0;
  }

  /** r = 2^exp or its negative. */
  #setPower(exp: number, negative: boolean): void {
    const { r } = this;
    r.setSpecial(Kind.Zero, negative);
    r.kind = Kind.Finite;
    r.exp = exp;
    r.hi = 0x80000000;
  }

  /** r = quarters * pi/4 with the sign of b. */
  #deliverAngle(quarters: bigint): void {
    this.#deliver({ m: (this.b.negative ? -quarters : quarters) * PI.m, e: PI.e - 2 });
  }

  /** r = the value, rounded; it counts as inexact even where it is not. */
  #deliver({ m, e }: Real): void {
    const { r } = this;
    const bits = bitLength(m);
    const absolute = m < 0n ? -m : m;
    const excess = BigInt(bits - 96);
    const top = excess > 0n ? absolute >> excess : absolute << -excess;
    const lost = excess > 0n && top << excess !== absolute;
    r.kind = Kind.Finite;
    r.negative = m < 0n;
    r.denormal = false;
    r.exp = e + bits - 1;
    r.hi = Number(top >> 64n);
    r.lo = Number((top >> 32n) & 0xffffffffn);
    r.ext = (Number(top & 0xffffffffn) | (lost ? 1 : 0)) >>> 0;
    this.#approximate = true;
    this.finish(EXTENDED[64]);
    this.#approximate = false;
    this.#noteInexact();
  }

  protected override underflow(format: Format): void {
    super.underflow(format);
    if (this.#approximate) this.flags |= Flag.U;
  }

  #put(): void {
    this.lo = this.r.lo;
    this.hi = this.r.hi;
    this.se = pack80Top(this.r);
  }
}

import { add, compareMagnitude, divide, multiply, squareRoot } from "./arithmetic.js";
import { type Format, Kind, Unpacked } from "./number.js";
import { Rounded, roundSignificand, roundToInteger } from "./rounding.js";
import { ALL_MASKED, Flag, PRE_COMPUTATION, Relation, Round } from "./types.js";

/**
 * Arithmetic on unpacked operands `a` and `b` into `r`, with x86's special cases, exceptions and final rounding, for any format: what the
 * SSE and x87 units have in common. A subclass adds encodings, and the rules in which the two differ.
 *
 * Sources: SDM Vol. 1, 4.8.3.5 (NaN rules), 4.9 (exceptions and their priority), appendix D.
 */
export abstract class Environment {
  /** Rounding mode of the following operations. */
  rc: Round = Round.Nearest;
  /** Exception masks: a set {@link Flag} bit means that exception is masked. */
  masks: number = ALL_MASKED;
  /** Exceptions detected. */
  flags = 0;
  /** Low (or only) word of the last result, u32. */
  lo = 0;
  /** High word of the last result, u32. */
  hi = 0;

  protected readonly a = new Unpacked();
  protected readonly b = new Unpacked();
  protected readonly r = new Unpacked();
  /** r as {@link finish} got it. */
  protected readonly exact = new Unpacked();
  /** What the last rounding did. */
  protected rounded: Rounded = Rounded.Exact;

  /** Which of two NaNs to propagate, when a and b are both NaNs. */
  protected abstract prefersFirstNaN(): boolean;

  /** True once an unmasked I, D or Z was found: nothing is to be computed. */
  protected operandFault(): boolean {
    return (this.flags & PRE_COMPUTATION & ~this.masks) !== 0;
  }

  /** r = a + b or a - b. */
  protected sum(format: Format, subtract: boolean): void {
    const { a, b, r } = this;
    if (this.propagateNaN()) return;
    const bNegative = b.negative !== subtract;
    if (a.kind === Kind.Infinity && b.kind === Kind.Infinity && a.negative !== bNegative) {
      this.invalid();
      return;
    }
    this.noteDenormals(a, b);
    if (a.kind === Kind.Infinity) r.setSpecial(Kind.Infinity, a.negative);
    else if (b.kind === Kind.Infinity) r.setSpecial(Kind.Infinity, bNegative);
    else if (b.kind === Kind.Zero) {
      r.copyFrom(a);
      if (a.kind === Kind.Zero && a.negative !== bNegative) r.negative = this.rc === Round.Down;
    } else if (a.kind === Kind.Zero) {
      r.copyFrom(b);
      r.negative = bNegative;
    } else {
      add(a, b, r, subtract);
      if (r.kind === Kind.Zero) r.negative = this.rc === Round.Down;
    }
    this.finish(format);
  }

  /** r = a * b. */
  protected product(format: Format): void {
    const { a, b, r } = this;
    if (this.propagateNaN()) return;
    const infinite = a.kind === Kind.Infinity || b.kind === Kind.Infinity;
    const zero = a.kind === Kind.Zero || b.kind === Kind.Zero;
    if (infinite && zero) {
      this.invalid();
      return;
    }
    this.noteDenormals(a, b);
    if (infinite || zero) r.setSpecial(infinite ? Kind.Infinity : Kind.Zero, a.negative !== b.negative);
    else multiply(a, b, r);
    this.finish(format);
  }

  /** r = a / b. */
  protected quotient(format: Format): void {
    const { a, b, r } = this;
    if (this.propagateNaN()) return;
    if (a.kind === b.kind && a.kind !== Kind.Finite) {
      this.invalid();
      return;
    }
    const negative = a.negative !== b.negative;
    if (b.kind === Kind.Zero && a.kind === Kind.Finite) {
      // Divide-by-zero outranks the denormal operand, which is then not looked at.
      this.flags |= Flag.Z;
      r.setSpecial(Kind.Infinity, negative);
      return;
    }
    this.noteDenormals(a, b);
    if (a.kind === Kind.Infinity || b.kind === Kind.Zero) r.setSpecial(Kind.Infinity, negative);
    else if (a.kind === Kind.Zero || b.kind === Kind.Infinity) r.setSpecial(Kind.Zero, negative);
    else divide(a, b, r, format);
    this.finish(format);
  }

  /** r = square root of a. */
  protected root(format: Format): void {
    const { a, r } = this;
    if (this.propagateUnaryNaN()) return;
    if (a.negative && a.kind !== Kind.Zero) {
      this.invalid();
      return;
    }
    this.noteDenormal(a);
    if (a.kind === Kind.Finite) squareRoot(a, r, format);
    else r.copyFrom(a);
    this.finish(format);
  }

  /** r = a in `format`, for conversions between formats. */
  protected convert(format: Format): void {
    if (this.propagateUnaryNaN()) return;
    this.noteDenormal(this.a);
    this.r.copyFrom(this.a);
    this.finish(format);
  }

  /** The relation of a to b; a quiet NaN is invalid only when `signaling`. */
  protected relation(signaling: boolean): Relation {
    const { a, b } = this;
    if (a.isNaN() || b.isNaN()) {
      if (signaling || a.kind >= Kind.SignalingNaN || b.kind >= Kind.SignalingNaN) this.flags |= Flag.I;
      return Relation.Unordered;
    }
    this.noteDenormals(a, b);
    if (a.kind === Kind.Zero && b.kind === Kind.Zero) return Relation.Equal;
    if (a.kind === Kind.Zero) return b.negative ? Relation.Greater : Relation.Less;
    if (b.kind === Kind.Zero || a.negative !== b.negative) return a.negative ? Relation.Less : Relation.Greater;
    const magnitude = a.kind !== b.kind ? a.kind - b.kind : a.kind === Kind.Finite ? compareMagnitude(a, b) : 0;
    if (magnitude === 0) return Relation.Equal;
    return magnitude > 0 === a.negative ? Relation.Less : Relation.Greater;
  }

  /** r = the default NaN, with #I. */
  protected invalid(): void {
    this.flags |= Flag.I;
    this.r.setIndefinite();
  }

  /** If a is a NaN, r = a quieted, with #I for a signaling one. */
  protected propagateUnaryNaN(): boolean {
    const { a, r } = this;
    if (!a.isNaN()) return false;
    if (a.kind === Kind.Unsupported) {
      this.invalid();
      return true;
    }
    if (a.kind === Kind.SignalingNaN) this.flags |= Flag.I;
    r.copyFrom(a);
    r.quiet();
    return true;
  }

  /** If a or b is a NaN, r = the one the unit propagates, quieted; signaling ones raise #I. */
  protected propagateNaN(): boolean {
    const { a, b, r } = this;
    if (!a.isNaN() && !b.isNaN()) return false;
    if (a.kind === Kind.Unsupported || b.kind === Kind.Unsupported) {
      this.invalid();
      return true;
    }
    if (a.kind === Kind.SignalingNaN || b.kind === Kind.SignalingNaN) this.flags |= Flag.I;
    r.copyFrom(!b.isNaN() || (a.isNaN() && this.prefersFirstNaN()) ? a : b);
    r.quiet();
    return true;
  }

  protected noteDenormal(x: Unpacked): void {
    if (x.denormal) this.flags |= Flag.D;
  }

  protected noteDenormals(a: Unpacked, b: Unpacked): void {
    if (a.denormal || b.denormal) this.flags |= Flag.D;
  }

  /** lo(:hi) = a rounded to a signed integer, or the integer indefinite with #I. Denormals raise no #D here. */
  protected toInteger(rc: Round, width: 16 | 32 | 64): void {
    const { a } = this;
    this.lo = 0;
    this.hi = 0;
    if (a.kind === Kind.Zero) return;
    if (a.kind !== Kind.Finite || a.exp > 63) {
      this.#integerIndefinite(width);
      return;
    }
    const rounded = roundToInteger(a, rc);
    const { negative, hi, lo } = a;
    if (width === 64) {
      if (hi > 0x80000000 || (hi === 0x80000000 && (lo !== 0 || !negative))) {
        this.#integerIndefinite(width);
        return;
      }
      this.hi = (negative ? ~hi + (lo === 0 ? 1 : 0) : hi) >>> 0;
      this.lo = (negative ? -lo : lo) >>> 0;
    } else {
      const limit = width === 32 ? 0x80000000 : 0x8000;
      if (hi !== 0 || lo > limit || (lo === limit && !negative)) {
        this.#integerIndefinite(width);
        return;
      }
      this.lo = ((negative ? -lo : lo) & (width === 32 ? -1 : 0xffff)) >>> 0;
    }
    this.rounded = rounded;
    if (rounded !== Rounded.Exact) this.flags |= Flag.P;
  }

  #integerIndefinite(width: 16 | 32 | 64): void {
    this.flags |= Flag.I;
    this.lo = width === 64 ? 0 : width === 32 ? 0x80000000 : 0x8000;
    this.hi = width === 64 ? 0x80000000 : 0;
  }

  /** r = the finite or special a rounded to an integral value of its own format. A NaN has been dealt with. */
  protected roundToIntegral(rc: Round, precision: 24 | 53 | 64): void {
    const { a, r } = this;
    r.copyFrom(a);
    if (a.kind !== Kind.Finite || a.exp >= precision - 1) return;
    this.rounded = roundToInteger(r, rc);
    if (this.rounded !== Rounded.Exact) this.flags |= Flag.P;
    r.exp = 63;
    if ((r.hi | r.lo) === 0) r.setSpecial(Kind.Zero, a.negative);
    else r.normalize();
  }

  /**
   * Rounds r into `format`, raising #O, #U and #P and substituting infinity, the largest number, a denormal or zero. Tininess is detected
   * after rounding as if the exponent were unbounded (SDM Vol. 1, 4.9.1.5). Nothing is computed once an operand has faulted.
   */
  protected finish(format: Format): void {
    const { r } = this;
    if (r.kind !== Kind.Finite || this.operandFault()) return;
    this.exact.copyFrom(r);
    this.rounded = roundSignificand(r, format.precision, this.rc);
    if (this.rounded !== Rounded.Exact) this.flags |= Flag.P;
    if (r.exp > format.maxExponent) this.overflow(format);
    else if (r.exp < format.minExponent) this.underflow(format);
  }

  /** r, rounded, is too large for `format`. The masked response: infinity, or the largest number if the rounding mode says so. */
  protected overflow(format: Format): void {
    const { r, rc } = this;
    this.flags |= Flag.O | Flag.P;
    if (rc === Round.Nearest || rc === (r.negative ? Round.Down : Round.Up)) {
      r.setSpecial(Kind.Infinity, r.negative);
      this.rounded = Rounded.Incremented;
    } else {
      r.exp = format.maxExponent;
      r.hi = format.precision === 24 ? 0xffffff00 : 0xffffffff;
      r.lo = format.precision === 24 ? 0 : format.precision === 53 ? 0xfffff800 : 0xffffffff;
      this.rounded = Rounded.Truncated;
    }
  }

  /** r, rounded, is tiny. The masked response: round again as a denormal, and raise #U if that is inexact. */
  protected underflow(format: Format): void {
    const { r } = this;
    r.copyFrom(this.exact);
    r.shiftRightJam(format.minExponent - r.exp);
    r.exp = format.minExponent;
    this.rounded = roundSignificand(r, format.precision, this.rc);
    if (this.rounded !== Rounded.Exact) this.flags |= Flag.U | Flag.P;
    if ((r.hi | r.lo) === 0) r.setSpecial(Kind.Zero, r.negative);
  }
}

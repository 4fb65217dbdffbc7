import { add, compareMagnitude, divide, multiply, squareRoot } from "./arithmetic.js";
import { Kind, type Format, Unpacked } from "./number.js";
import { Rounded, roundSignificand } from "./rounding.js";
import { ALL_MASKED, Flag, PRE_COMPUTATION, Relation, Round } from "./types.js";

/**
 * Arithmetic on unpacked operands `a` and `b` into `r` under SSE's rules: NaN propagation, special operands, exceptions and the final
 * rounding, for any format. {@link SoftFloat} puts the encodings around it.
 *
 * Sources: SDM Vol. 1, 4.8.3.5 (NaN rules), 4.9 (exceptions and their priority), 10.2.3 (MXCSR), 11.5 (SIMD exceptions), appendix D.
 */
export class SseEnvironment {
  /** Rounding mode, MXCSR bits 14:13. */
  rc: Round = Round.Nearest;
  /** MXCSR bit 6: denormal operands are read as zeros of their sign. */
  daz = false;
  /** MXCSR bit 15: tiny results become zeros of their sign while underflow is masked. */
  ftz = false;
  /** MXCSR bits 12:7 shifted down by 7: a set {@link Flag} bit means that exception is masked. */
  masks: number = ALL_MASKED;
  /** Every exception detected since the caller cleared it, in all lanes. What MXCSR gets is {@link reported}. */
  flags = 0;

  protected readonly a = new Unpacked();
  protected readonly b = new Unpacked();
  protected readonly r = new Unpacked();
  private readonly exact = new Unpacked();

  /** Takes rounding control, DAZ, FTZ and the exception masks from an MXCSR value, and clears {@link flags}. */
  setMxcsr(mxcsr: number): void {
    this.rc = (mxcsr >>> 13) & 3;
    this.daz = (mxcsr & 0x40) !== 0;
    this.ftz = (mxcsr & 0x8000) !== 0;
    this.masks = (mxcsr >>> 7) & 0x3f;
    this.flags = 0;
  }

  /**
   * The flags an instruction ORs into MXCSR once all its lanes are done. Operands are examined in every lane before anything is computed:
   * when that finds an unmasked exception, results are never formed and only I, D and Z are reported (SDM Vol. 1, 11.5.3).
   */
  reported(): number {
    return this.preFaulted() ? this.flags & PRE_COMPUTATION : this.flags;
  }

  /** True when the instruction must raise #XM and leave its destination alone ({@link reported} still goes to MXCSR). */
  faulted(): boolean {
    return (this.reported() & ~this.masks) !== 0;
  }

  private preFaulted(): boolean {
    return (this.flags & PRE_COMPUTATION & ~this.masks) !== 0;
  }

  /** r = a + b or a - b. */
  protected sum(format: Format, subtract: boolean): void {
    const { a, b, r } = this;
    if (this.propagateNaN()) return;
    const bNegative = b.negative !== subtract;
    if (a.kind === Kind.Infinity && b.kind === Kind.Infinity && a.negative !== bNegative) return this.invalid();
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
    if (infinite && zero) return this.invalid();
    this.noteDenormals(a, b);
    if (infinite || zero) r.setSpecial(infinite ? Kind.Infinity : Kind.Zero, a.negative !== b.negative);
    else multiply(a, b, r);
    this.finish(format);
  }

  /** r = a / b. */
  protected quotient(format: Format): void {
    const { a, b, r } = this;
    if (this.propagateNaN()) return;
    if (a.kind === b.kind && a.kind !== Kind.Finite) return this.invalid();
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
    if (a.negative && a.kind !== Kind.Zero) return this.invalid();
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
      if (signaling || a.kind === Kind.SignalingNaN || b.kind === Kind.SignalingNaN) this.flags |= Flag.I;
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
    if (!this.a.isNaN()) return false;
    if (this.a.kind === Kind.SignalingNaN) this.flags |= Flag.I;
    this.r.copyFrom(this.a);
    this.r.quiet();
    return true;
  }

  /** If a or b is a NaN, r = the first of them, quieted; signaling ones raise #I (SDM Vol. 1, Table 4-7). */
  private propagateNaN(): boolean {
    const { a, b, r } = this;
    if (!a.isNaN() && !b.isNaN()) return false;
    if (a.kind === Kind.SignalingNaN || b.kind === Kind.SignalingNaN) this.flags |= Flag.I;
    r.copyFrom(a.isNaN() ? a : b);
    r.quiet();
    return true;
  }

  protected noteDenormal(x: Unpacked): void {
    if (x.denormal) this.flags |= Flag.D;
  }

  private noteDenormals(a: Unpacked, b: Unpacked): void {
    if (a.denormal || b.denormal) this.flags |= Flag.D;
  }

  /**
   * Rounds r into `format`, raising #O, #U and #P and substituting infinity, the largest number, a denormal or zero. Tininess is detected
   * after rounding as if the exponent were unbounded (SDM Vol. 1, 4.9.1.5). Nothing is computed once an operand has faulted.
   */
  protected finish(format: Format): void {
    const { r, exact } = this;
    if (r.kind !== Kind.Finite || this.preFaulted()) return;
    exact.copyFrom(r);
    const rounded = roundSignificand(r, format.precision, this.rc);
    if (rounded !== Rounded.Exact) this.flags |= Flag.P;
    if (r.exp > format.maxExponent) this.overflow(format);
    else if (r.exp < format.minExponent) this.underflow(format);
  }

  private overflow(format: Format): void {
    const { r, rc } = this;
    this.flags |= Flag.O;
    if ((this.masks & Flag.O) === 0) return;
    this.flags |= Flag.P;
    if (rc === Round.Nearest || rc === (r.negative ? Round.Down : Round.Up)) {
      r.setSpecial(Kind.Infinity, r.negative);
    } else {
      r.exp = format.maxExponent;
      r.hi = format.precision === 24 ? 0xffffff00 : 0xffffffff;
      r.lo = format.precision === 24 ? 0 : format.precision === 53 ? 0xfffff800 : 0xffffffff;
    }
  }

  private underflow(format: Format): void {
    const { r } = this;
    if ((this.masks & Flag.U) === 0) {
      this.flags |= Flag.U;
    } else if (this.ftz) {
      this.flags |= Flag.U | Flag.P;
      r.setSpecial(Kind.Zero, r.negative);
    } else {
      r.copyFrom(this.exact);
      r.shiftRightJam(format.minExponent - r.exp);
      r.exp = format.minExponent;
      if (roundSignificand(r, format.precision, this.rc) !== Rounded.Exact) this.flags |= Flag.U | Flag.P;
    }
  }
}

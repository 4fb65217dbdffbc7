import { Environment } from "./environment.js";
import { EXTENDED, type Format, Kind } from "./number.js";
import { Rounded } from "./rounding.js";
import { Flag, PRE_COMPUTATION, Precision } from "./types.js";

/** Unmasked overflow and underflow deliver the result with its exponent moved by this much. SDM Vol. 1, 8.5.4 and 8.5.5. */
const EXPONENT_ADJUSTMENT = 24576;
/** The exceptions that, unmasked, keep a store to memory from happening. */
export const WITHHOLDING_A_STORE = PRE_COMPUTATION | Flag.O | Flag.U;

/**
 * What is particular to the x87: its control word, C1, the larger NaN winning, and results that are delivered in spite of unmasked
 * exceptions. Sources: SDM Vol. 1, 4.8.3.5 Table 4-7, 8.1.5, 8.5.
 */
export abstract class X87Environment extends Environment {
  protected format: Format = EXTENDED[64];
  /** The exceptions that, unmasked, keep the operation from writing its destination. */
  protected withholding = PRE_COMPUTATION;

  /** Takes the exception masks (bits 5:0), precision control (9:8) and rounding control (11:10) from an x87 control word. */
  setControl(fcw: number): void {
    this.masks = fcw & 0x3f;
    this.rc = (fcw >>> 10) & 3;
    const precision = ((fcw >>> 8) & 3) as Precision;
    this.format = EXTENDED[precision === Precision.Single ? 24 : precision === Precision.Double ? 53 : 64];
  }

  /** Condition code C1: the last result was rounded away from zero. */
  get c1(): boolean {
    return this.rounded === Rounded.Incremented;
  }

  /** False when an unmasked exception of the last operation keeps it from writing its destination or popping the stack. */
  written(): boolean {
    return (this.flags & this.withholding & ~this.masks) === 0;
  }

  protected begin(): void {
    this.flags = 0;
    this.rounded = Rounded.Exact;
    this.withholding = PRE_COMPUTATION;
  }

  /** A quiet NaN before a signaling one, then the larger significand, then the positive one. */
  protected override prefersFirstNaN(): boolean {
    const { a, b } = this;
    if (a.kind !== b.kind) return a.kind === Kind.QuietNaN;
    if (a.hi !== b.hi) return a.hi > b.hi;
    if (a.lo !== b.lo) return a.lo > b.lo;
    return !a.negative;
  }

  protected override overflow(format: Format): void {
    if ((this.masks & Flag.O) !== 0) super.overflow(format);
    else this.#unmasked(Flag.O, -EXPONENT_ADJUSTMENT, format);
  }

  protected override underflow(format: Format): void {
    if ((this.masks & Flag.U) !== 0) super.underflow(format);
    else this.#unmasked(Flag.U, EXPONENT_ADJUSTMENT, format);
  }

  /**
   * Register results are delivered with another exponent, or, when that is not enough (FSCALE), as infinity or zero in every rounding mode.
   * A store does not happen at all, and then nothing was inexact.
   */
  #unmasked(flag: Flag.O | Flag.U, adjustment: number, format: Format): void {
    const { r } = this;
    this.flags |= flag;
    if (this.withholding === WITHHOLDING_A_STORE) {
      this.flags &= ~Flag.P;
      this.rounded = Rounded.Exact;
      return;
    }
    r.exp += adjustment;
    if (r.exp > format.maxExponent) {
      this.flags |= Flag.P;
      r.setSpecial(Kind.Infinity, r.negative);
      this.rounded = Rounded.Incremented;
    } else if (r.exp < format.minExponent) {
      this.flags |= Flag.P;
      r.setSpecial(Kind.Zero, r.negative);
      this.rounded = Rounded.Truncated;
    }
  }
}

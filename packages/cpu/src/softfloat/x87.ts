import { decimal, digitsToInteger, integerToDigits } from "./decimal.js";
import { pack32, pack64High, pack64Low, pack80Top, unpack32, unpack64, unpack80 } from "./encoding.js";
import { BINARY32, BINARY64, EXTENDED, type Format, Kind } from "./number.js";
import { remainder } from "./remainder.js";
import { Rounded } from "./rounding.js";
import { Flag, type Relation, type Round } from "./types.js";
import { WITHHOLDING_A_STORE, X87Environment } from "./x87-environment.js";

/** 10^18 - 1, the largest packed BCD. */
const MAX_BCD_HI = 0x0de0b6b3;
const MAX_BCD_LO = 0xa763ffff;

/**
 * x87 arithmetic on double extended (f80) numbers: results, exception flags, C1 and the responses to unmasked exceptions, bit-exact.
 *
 * Put the operands in place with `setA`, `setB` (f80: `lo`, `hi` the significand, `se` the top 16 bits) or their `32`, `64` and `Int`
 * variants for memory operands, call an operation, read `lo`, `hi`, `se`. Each operation starts with `flags` clear and reports only what it
 * raised itself; `written()` says whether its destination changes. The stack, its faults and the deferred #MF are the caller's.
 * Nothing throws or allocates.
 *
 * @example
 * const x = new SoftFloat80();
 * x.setControl(0x37f);
 * x.setA(0, 0x80000000, 0x3fff); // 1.0
 * x.setB32(0x40400000); // 3.0f
 * x.div();
 * x.se; // 0x3ffd: 0.333..., and x.c1 is true: it was rounded up
 *
 * Sources: SDM Vol. 1, 4.8.3.5 and chapter 8; Vol. 2 for each instruction.
 */
export class SoftFloat80 extends X87Environment {
  /** Sign (bit 15) and exponent of the last f80 result; its significand is `hi:lo`. */
  se = 0;
  /** FXTRACT's second result, an f80. */
  exponentLo = 0;
  exponentHi = 0;
  exponentSe = 0;
  /** C0, C1, C2 and C3 after FPREM, in their places in the status word. */
  conditionCodes = 0;
  /** False when FPREM found a NaN or an invalid operation: there is no quotient then. */
  hasQuotient = false;

  /** First operand (the destination, ST(0) of the one-operand instructions). */
  setA(lo: number, hi: number, se: number): void {
    unpack80(lo, hi, se, this.a);
  }

  /** First operand from an f32 in memory: FLD m32, and the reversed FSUBR, FDIVR. */
  setA32(bits: number): void {
    unpack32(bits, this.a, false);
  }

  /** First operand from an f64 in memory. */
  setA64(lo: number, hi: number): void {
    unpack64(lo, hi, this.a, false);
  }

  /** First operand from a signed 64-bit integer (sign-extend narrower ones). */
  setAInt(lo: number, hi: number): void {
    this.a.setInteger(lo, hi);
  }

  /** First operand from 18 packed BCD digits and a sign (bit 15 of `top`), for FBLD. */
  setABcd(lo: number, hi: number, top: number): void {
    digitsToInteger(lo, hi, top);
    this.a.setInteger(decimal.lo, decimal.hi);
    this.a.negative = (top & 0x8000) !== 0;
  }

  /** Second operand. */
  setB(lo: number, hi: number, se: number): void {
    unpack80(lo, hi, se, this.b);
  }

  /** Second operand from an f32 in memory. */
  setB32(bits: number): void {
    unpack32(bits, this.b, false);
  }

  /** Second operand from an f64 in memory. */
  setB64(lo: number, hi: number): void {
    unpack64(lo, hi, this.b, false);
  }

  /** Second operand from a signed 64-bit integer (sign-extend narrower ones). */
  setBInt(lo: number, hi: number): void {
    this.b.setInteger(lo, hi);
  }

  /** a + b, in the precision of the control word like the four below. */
  add(): void {
    this.begin();
    this.sum(this.format, false);
    this.#store80();
  }

  /** a - b. */
  sub(): void {
    this.begin();
    this.sum(this.format, true);
    this.#store80();
  }

  /** a * b. */
  mul(): void {
    this.begin();
    this.product(this.format);
    this.#store80();
  }

  /** a / b. */
  div(): void {
    this.begin();
    this.quotient(this.format);
    this.#store80();
  }

  /** Square root of a. */
  sqrt(): void {
    this.begin();
    this.root(this.format);
    this.#store80();
  }

  /** FRNDINT: a rounded to an integral value. */
  roundInt(): void {
    this.begin();
    if (!this.propagateUnaryNaN()) {
      this.noteDenormal(this.a);
      if (!this.operandFault()) this.roundToIntegral(this.rc, 64);
    }
    this.#store80();
  }

  /** Relation of a to b: FUCOM, or FCOM when `signaling` (quiet NaNs raise #I too). An unsupported operand is unordered. */
  compare(signaling: boolean): Relation {
    this.begin();
    return this.relation(signaling);
  }

  /**
   * a as an f80: FLD m32, FLD m64, FILD. (FLD m80 copies its operand without looking at it.) A denormal operand is loaded even while #D is
   * unmasked; the SDM does not say so, processors do it.
   */
  load(): void {
    this.begin();
    this.withholding = Flag.I;
    this.convert(EXTENDED[64]);
    this.#store80();
  }

  /** FST m32: a as f32 in `lo`. */
  toF32(): void {
    this.begin();
    this.#narrow(BINARY32);
    this.lo = pack32(this.r);
    this.hi = 0;
  }

  /** FST m64: a as f64 in `lo`, `hi`. */
  toF64(): void {
    this.begin();
    this.#narrow(BINARY64);
    this.lo = pack64Low(this.r);
    this.hi = pack64High(this.r);
  }

  /** FIST: a as a signed integer of `width` bits in `lo` (and `hi`); FISTTP with `rc` = Round.Zero. */
  toInt(width: 16 | 32 | 64, rc: Round = this.rc): void {
    this.begin();
    this.toInteger(rc, width);
  }

  /** FBSTP: a rounded to 18 packed BCD digits in `lo`, `hi`, `se`; out of range or NaN: the indefinite 0xffffc000000000000000 and #I. */
  toBcd(): void {
    const { a } = this;
    const negative = a.negative;
    this.toInt(64);
    const invalid = (this.flags & Flag.I) !== 0 || a.hi > MAX_BCD_HI || (a.hi === MAX_BCD_HI && a.lo > MAX_BCD_LO);
    if (a.kind === Kind.Finite && !invalid) {
      integerToDigits(a.lo, a.hi);
      this.lo = decimal.lo;
      this.hi = decimal.hi;
      this.se = decimal.top | (negative ? 0x8000 : 0);
    } else if (a.kind === Kind.Zero) {
      this.se = negative ? 0x8000 : 0;
    } else {
      this.flags = Flag.I;
      this.rounded = Rounded.Exact;
      this.lo = 0;
      this.hi = 0xc0000000;
      this.se = 0xffff;
    }
  }

  /** FSCALE: a * 2^trunc(b), whatever the precision control. */
  scale(): void {
    this.begin();
    const { a, b, r } = this;
    if (!this.propagateNaN()) {
      const invalid = b.kind === Kind.Infinity && a.kind === (b.negative ? Kind.Infinity : Kind.Zero);
      if (invalid) {
        this.invalid();
      } else {
        this.noteDenormals(a, b);
        r.copyFrom(a);
        if (b.kind === Kind.Zero) this.#keepDenormal();
        else if (b.kind === Kind.Infinity) r.setSpecial(b.negative ? Kind.Zero : Kind.Infinity, a.negative);
        else if (r.kind === Kind.Finite && b.kind === Kind.Finite && b.exp >= 0) {
          const magnitude = b.exp > 16 ? 0x20000 : b.hi >>> (31 - b.exp);
          r.exp += b.negative ? -magnitude : magnitude;
        }
        this.finish(EXTENDED[64]);
      }
    }
    this.#store80();
  }

  /** FXTRACT: the significand of a in `lo`, `hi`, `se`, its exponent as an f80 in `exponentLo`, `exponentHi`, `exponentSe`. */
  extract(): void {
    this.begin();
    const { a, b, r } = this;
    if (this.propagateUnaryNaN()) {
      b.copyFrom(r);
    } else {
      this.noteDenormal(a);
      r.copyFrom(a);
      r.exp = 0;
      if (a.kind === Kind.Finite) {
        b.setInteger(a.exp, a.exp >> 31);
      } else {
        if (a.kind === Kind.Zero) this.flags |= Flag.Z;
        b.setSpecial(Kind.Infinity, a.kind === Kind.Zero);
      }
    }
    this.exponentLo = b.lo;
    this.exponentHi = b.hi;
    this.exponentSe = pack80Top(b);
    this.#store80();
  }

  /**
   * FPREM, or FPREM1 when `nearest`: the remainder of a / b, with `conditionCodes` as the instruction leaves them. Exponents 64 or more
   * apart are only brought nearer by 32 to 63, and C2 says to go on.
   */
  remainder(nearest: boolean): void {
    this.begin();
    this.conditionCodes = 0;
    this.hasQuotient = false;
    const { a, b, r } = this;
    if (!this.propagateNaN()) {
      if (a.kind === Kind.Infinity || b.kind === Kind.Zero) {
        this.invalid();
      } else {
        this.hasQuotient = true;
        this.noteDenormals(a, b);
        if (this.operandFault()) return;
        r.copyFrom(a);
        if (a.kind === Kind.Finite && b.kind === Kind.Finite) {
          const distance = a.exp - b.exp;
          if (distance < 64) {
            const q = remainder(a, b, r, 0, nearest);
            this.conditionCodes = ((q & 1) << 9) | ((q & 2) << 13) | ((q & 4) << 6);
          } else {
            remainder(a, b, r, distance - ((distance & 31) | 32), false);
            this.conditionCodes = 0x400;
          }
          this.finish(EXTENDED[64]);
        } else {
          this.#keepDenormal();
        }
      }
    }
    this.#store80();
  }

  /** r is a itself, not a result: a denormal one goes back as it came, which is no underflow. */
  #keepDenormal(): void {
    const { r } = this;
    if (!r.denormal) return;
    r.shiftRightJam(EXTENDED[64].minExponent - r.exp);
    r.exp = EXTENDED[64].minExponent;
  }

  #narrow(format: Format): void {
    this.withholding = WITHHOLDING_A_STORE;
    if (this.propagateUnaryNaN()) return;
    this.r.copyFrom(this.a);
    this.finish(format);
  }

  #store80(): void {
    this.lo = this.r.lo;
    this.hi = this.r.hi;
    this.se = pack80Top(this.r);
  }
}

import { Environment } from "./environment.js";
import { type Format, Kind } from "./number.js";
import { Flag, PRE_COMPUTATION } from "./types.js";

/**
 * What is particular to SSE: MXCSR, DAZ and FTZ, the first operand's NaN winning, and exceptions that a packed instruction collects over
 * its lanes. Sources: SDM Vol. 1, 4.8.3.5 Table 4-7, 10.2.3, 11.5.
 */
export abstract class SseEnvironment extends Environment {
  /** MXCSR bit 6: denormal operands are read as zeros of their sign. */
  daz = false;
  /** MXCSR bit 15: tiny results become zeros of their sign while underflow is masked. */
  ftz = false;

  /** Takes rounding control (bits 14:13), DAZ, FTZ and the exception masks (bits 12:7) from an MXCSR value, and clears `flags`. */
  setMxcsr(mxcsr: number): void {
    this.rc = (mxcsr >>> 13) & 3;
    this.daz = (mxcsr & 0x40) !== 0;
    this.ftz = (mxcsr & 0x8000) !== 0;
    this.masks = (mxcsr >>> 7) & 0x3f;
    this.flags = 0;
  }

  /**
   * The flags an instruction ORs into MXCSR once all its lanes are done; `flags` has every exception found. Operands are examined in every
   * lane before anything is computed: when that finds an unmasked exception, results are never formed and only I, D and Z are reported
   * (SDM Vol. 1, 11.5.3).
   */
  reported(): number {
    return this.operandFault() ? this.flags & PRE_COMPUTATION : this.flags;
  }

  /** True when the instruction must raise #XM and leave its destination alone ({@link reported} still goes to MXCSR). */
  faulted(): boolean {
    return (this.reported() & ~this.masks) !== 0;
  }

  protected override prefersFirstNaN(): boolean {
    return true;
  }

  protected override overflow(format: Format): void {
    if ((this.masks & Flag.O) === 0) this.flags |= Flag.O;
    else super.overflow(format);
  }

  protected override underflow(format: Format): void {
    if ((this.masks & Flag.U) === 0) {
      this.flags |= Flag.U;
    } else if (this.ftz) {
      this.flags |= Flag.U | Flag.P;
      this.r.setSpecial(Kind.Zero, this.r.negative);
    } else {
      super.underflow(format);
    }
  }
}

/**
 * Rounding control, encoded as MXCSR.RC (bits 14:13) and the x87 control word's RC (bits 11:10).
 * Source: SDM Vol. 1, 4.8.4, Table 4-8.
 */
export enum Round {
  /** To the nearest representable value, ties to the even one. */
  Nearest = 0,
  /** Towards minus infinity. */
  Down = 1,
  /** Towards plus infinity. */
  Up = 2,
  /** Towards zero. */
  Zero = 3,
}

/**
 * Floating-point exceptions, encoded as MXCSR bits 5:0 and the x87 status word's bits 5:0.
 * Source: SDM Vol. 1, 4.9.1 and 10.2.3.
 */
export enum Flag {
  /** Invalid operation. */
  I = 1,
  /** Denormal operand. */
  D = 2,
  /** Divide by zero. */
  Z = 4,
  /** Overflow. */
  O = 8,
  /** Underflow. */
  U = 16,
  /** Precision (the result is inexact). */
  P = 32,
}

/** The exceptions found by looking at the operands alone; an unmasked one stops the operation before it computes. */
export const PRE_COMPUTATION: number = Flag.I | Flag.D | Flag.Z;

/** All six exceptions masked: the reset value of MXCSR bits 12:7 shifted down by 7. */
export const ALL_MASKED = 0x3f;

/** Precision control, encoded as the x87 control word's PC (bits 9:8): significand bits of ADD, SUB, MUL, DIV and SQRT. SDM Vol. 1, 8.1.5.2. */
export enum Precision {
  Single = 0,
  /** Reserved by the SDM. */
  Reserved = 1,
  Double = 2,
  Extended = 3,
}

/** Outcome of a comparison `a ? b`. */
export enum Relation {
  Less = -1,
  Equal = 0,
  Greater = 1,
  /** At least one operand is a NaN. */
  Unordered = 2,
}

import type { Unpacked } from "./number.js";
import { Round } from "./types.js";

/** What rounding did to a significand. */
export enum Rounded {
  Exact = 0,
  /** Inexact, the magnitude became smaller. */
  Truncated = 1,
  /** Inexact, the magnitude became larger (x87 reports this in C1). */
  Incremented = 2,
}

/**
 * Rounds `hi:lo:ext` to its `precision` leading bit positions (position, not significant bits: a significand shifted right for a denormal
 * result keeps fewer) and clears the rest. A carry out of bit 63 renormalises and raises `exp`.
 * Source: IEEE 754-2019 clause 4.3; SDM Vol. 1, 4.8.4.
 */
export function roundSignificand(r: Unpacked, precision: 24 | 53 | 64, rc: Round): Rounded {
  let { hi, lo } = r;
  const ext = r.ext;
  let half: boolean;
  let below: boolean;
  let odd: boolean;
  if (precision === 24) {
    half = (hi & 0x80) !== 0;
    below = ((hi & 0x7f) | lo | ext) !== 0;
    odd = (hi & 0x100) !== 0;
    hi = (hi & ~0xff) >>> 0;
    lo = 0;
  } else if (precision === 53) {
    half = (lo & 0x400) !== 0;
    below = ((lo & 0x3ff) | ext) !== 0;
    odd = (lo & 0x800) !== 0;
    lo = (lo & ~0x7ff) >>> 0;
  } else {
    half = ext >= 0x80000000;
    below = (ext & 0x7fffffff) !== 0;
    odd = (lo & 1) !== 0;
  }
  r.ext = 0;
  r.hi = hi;
  r.lo = lo;
  if (!half && !below) return Rounded.Exact;
  const up =
    rc === Round.Nearest ? half && (below || odd) : rc === Round.Down ? r.negative : rc === Round.Up && !r.negative;
  if (!up) return Rounded.Truncated;
  if (precision === 24) {
    hi = (hi + 0x100) >>> 0;
  } else {
    lo = (lo + (precision === 53 ? 0x800 : 1)) >>> 0;
    if (lo === 0) hi = (hi + 1) >>> 0;
  }
  if ((hi | lo) === 0) {
    hi = 0x80000000;
    r.exp++;
  }
  r.hi = hi;
  r.lo = lo;
  return Rounded.Incremented;
}

/**
 * Rounds a finite number to an integer: `hi:lo` becomes its magnitude (bit 0 has weight one; `exp` and the leading one no longer mean
 * anything). The number must be below 2^64.
 */
export function roundToInteger(r: Unpacked, rc: Round): Rounded {
  r.shiftRightJam(63 - r.exp);
  return roundSignificand(r, 64, rc);
}

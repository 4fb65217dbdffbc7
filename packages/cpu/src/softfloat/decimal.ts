// Packed BCD of the x87: 18 digits, two a byte, least significant first, and a sign in bit 79. SDM Vol. 1, 4.7.
import { mulHigh } from "./arithmetic.js";

const BILLION = 1000000000;
const TWO32 = 4294967296;

/** The number below 10^9 written in 9 BCD digits: eight in `low`, one more in `high`. */
function fromDigits(low: number, high: number): number {
  let value = high & 15;
  for (let shift = 28; shift >= 0; shift -= 4) value = value * 10 + ((low >>> shift) & 15);
  return value;
}

/** Eight BCD digits of a number below 10^8. */
function eightDigits(value: number): number {
  let digits = 0;
  for (let shift = 0; shift < 32; shift += 4) {
    digits |= (value % 10) << shift;
    value = Math.floor(value / 10);
  }
  return digits >>> 0;
}

/** Scratch result of the functions below. */
export const decimal = { lo: 0, hi: 0, top: 0 };

/** The 18 digits in `lo`, `hi`, `top` (bits 71:0) as a 64-bit integer in {@link decimal}. Digits above 9 count as their value. */
export function digitsToInteger(lo: number, hi: number, top: number): void {
  const low = fromDigits(lo, hi);
  const high = fromDigits((hi >>> 4) | (top << 28), top >>> 4);
  const sum = (Math.imul(high, BILLION) >>> 0) + low;
  decimal.lo = sum >>> 0;
  decimal.hi = (mulHigh(high, BILLION) + (sum >= TWO32 ? 1 : 0)) >>> 0;
}

/** An integer below 10^18 as 18 digits in {@link decimal}. */
export function integerToDigits(lo: number, hi: number): void {
  // The estimate of the quotient is at most one off, and the remainder's low word tells.
  let high = Math.floor((hi * TWO32 + lo) / BILLION);
  let low = (lo - Math.imul(high, BILLION)) | 0;
  if (low < 0) {
    high--;
    low += BILLION;
  } else if (low >= BILLION) {
    high++;
    low -= BILLION;
  }
  const lowTop = Math.floor(low / 100000000);
  const highDigits = eightDigits(high % 100000000);
  decimal.lo = eightDigits(low % 100000000);
  decimal.hi = (lowTop | (highDigits << 4)) >>> 0;
  decimal.top = (highDigits >>> 28) | (Math.floor(high / 100000000) << 4);
}

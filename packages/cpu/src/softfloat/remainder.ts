import { Kind, type Unpacked } from "./number.js";

const TWO32 = 4294967296;

/**
 * r = a - q * b * 2^shift for finite, nonzero, normalised a and b, exactly, where q is a / (b * 2^shift) truncated, or rounded to nearest
 * (ties to even) when `nearest`. `shift` is at least `a.exp - b.exp - 63`. Returns the three low bits of q.
 */
export function remainder(a: Unpacked, b: Unpacked, r: Unpacked, shift: number, nearest: boolean): number {
  const dh = b.hi;
  const dl = b.lo;
  const steps = a.exp - b.exp - shift + 1;
  r.copyFrom(a);
  r.denormal = false;
  if (steps < 0) return 0;
  // One step per quotient bit. The partial remainder is below twice the divisor: the high part of its 65 bits is a JS number. With no
  // steps, a is below b but may be above its half, so it is brought to b's exponent and only the rounding below remains.
  let rh = steps === 0 ? a.hi >>> 1 : a.hi;
  let rl = steps === 0 ? ((a.hi << 31) | (a.lo >>> 1)) >>> 0 : a.lo;
  const lost = steps === 0 ? a.lo & 1 : 0;
  let q = 0;
  for (let i = 0; i < steps; i++) {
    if (i !== 0) {
      rh = rh * 2 + (rl >>> 31);
      rl = (rl << 1) >>> 0;
    }
    q = (q << 1) & 7;
    if (rh > dh || (rh === dh && rl >= dl)) {
      q |= 1;
      rh -= dh;
      rl -= dl;
      if (rl < 0) {
        rl += TWO32;
        rh--;
      }
    }
  }
  if (nearest) {
    const twiceHigh = rh * 2 + (rl >>> 31);
    const twiceLow = ((rl << 1) | lost) >>> 0;
    if (twiceHigh > dh || (twiceHigh === dh && (twiceLow > dl || (twiceLow === dl && (q & 1) !== 0)))) {
      // b - remainder, with the other sign.
      q = (q + 1) & 7;
      r.negative = !r.negative;
      const low = dl - rl - lost;
      rh = dh - rh - (low < 0 ? 1 : 0);
      rl = low >>> 0;
    }
  }
  if (rh + rl + lost === 0) {
    r.setSpecial(Kind.Zero, r.negative);
    return q;
  }
  r.exp = b.exp + shift;
  r.hi = rh;
  r.lo = rl;
  r.ext = lost === 0 ? 0 : 0x80000000;
  r.normalize();
  return q;
}

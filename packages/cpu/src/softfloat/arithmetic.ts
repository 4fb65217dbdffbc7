// The five operations on finite, nonzero, normalised numbers. Each leaves in `r` the exact result, or its first 96 bits with the rest
// condensed into the sticky bit: what rounding needs and no more. `r` may not be an operand. No exceptions are raised here.
import { type Format, Kind, type Unpacked } from "./number.js";

const TWO32 = 4294967296;

/** High word of the 64-bit product of two u32. */
export function mulHigh(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const middle = ah * bl + ((al * bl) >>> 16);
  const carry = al * bh + (middle & 0xffff);
  return ah * bh + (middle >>> 16) + (carry >>> 16);
}

/** -1, 0 or 1 as the magnitude of `a` is below, equal to or above that of `b`. */
export function compareMagnitude(a: Unpacked, b: Unpacked): number {
  if (a.exp !== b.exp) return a.exp < b.exp ? -1 : 1;
  if (a.hi !== b.hi) return a.hi < b.hi ? -1 : 1;
  return a.lo === b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}

/** r = |a| + |b|, with the sign of `a`. */
function addMagnitudes(a: Unpacked, b: Unpacked, r: Unpacked): void {
  const big = a.exp >= b.exp ? a : b;
  const small = big === a ? b : a;
  r.copyFrom(small);
  r.ext = 0;
  r.shiftRightJam(big.exp - small.exp);
  r.exp = big.exp;
  r.negative = a.negative;
  const lo = big.lo + r.lo;
  const hi = big.hi + r.hi + (lo >= TWO32 ? 1 : 0);
  r.lo = lo >>> 0;
  r.hi = hi >>> 0;
  if (hi >= TWO32) {
    r.shiftRightJam(1);
    r.hi = (r.hi | 0x80000000) >>> 0;
    r.exp++;
  }
}

/** r = |a| - |b|, with the sign of `a` flipped when |b| is the larger; an exact zero has `Kind.Zero` and a sign for the caller to set. */
function subtractMagnitudes(a: Unpacked, b: Unpacked, r: Unpacked): void {
  const order = compareMagnitude(a, b);
  if (order === 0) {
    r.setSpecial(Kind.Zero, false);
    return;
  }
  const big = order > 0 ? a : b;
  const small = order > 0 ? b : a;
  r.copyFrom(small);
  r.ext = 0;
  r.shiftRightJam(big.exp - small.exp);
  r.exp = big.exp;
  r.negative = order > 0 ? a.negative : !a.negative;
  const lo = big.lo - r.lo - (r.ext !== 0 ? 1 : 0);
  r.ext = -r.ext >>> 0;
  r.hi = (big.hi - r.hi - (lo < 0 ? 1 : 0)) >>> 0;
  r.lo = lo >>> 0;
  r.normalize();
}

/** r = a + b, or a - b when `subtract`. An exact zero is positive; IEEE 754 6.3 makes it negative when rounding down, which is the caller's. */
export function add(a: Unpacked, b: Unpacked, r: Unpacked, subtract: boolean): void {
  if ((a.negative !== b.negative) === subtract) addMagnitudes(a, b, r);
  else subtractMagnitudes(a, b, r);
}

/** r = a * b. */
export function multiply(a: Unpacked, b: Unpacked, r: Unpacked): void {
  const ah = a.hi;
  const al = a.lo;
  const bh = b.hi;
  const bl = b.lo;
  let w3 = mulHigh(ah, bh);
  let w2 = Math.imul(ah, bh) >>> 0;
  let w1 = 0;
  let w0 = 0;
  if ((al | bl) !== 0) {
    const s1 = mulHigh(al, bl) + (Math.imul(al, bh) >>> 0) + (Math.imul(ah, bl) >>> 0);
    w0 = Math.imul(al, bl) >>> 0;
    w1 = s1 >>> 0;
    const s2 = w2 + mulHigh(al, bh) + mulHigh(ah, bl) + (s1 - w1) / TWO32;
    w2 = s2 >>> 0;
    w3 += (s2 - w2) / TWO32;
  }
  r.kind = Kind.Finite;
  r.negative = a.negative !== b.negative;
  r.denormal = false;
  r.exp = a.exp + b.exp;
  if (w3 >= 0x80000000) {
    r.exp++;
  } else {
    w3 = ((w3 << 1) | (w2 >>> 31)) >>> 0;
    w2 = ((w2 << 1) | (w1 >>> 31)) >>> 0;
    w1 = (w1 << 1) | (w0 >>> 31);
    w0 <<= 1;
  }
  r.hi = w3;
  r.lo = w2;
  r.ext = (w1 | (w0 !== 0 ? 1 : 0)) >>> 0;
}

/**
 * r = a / b, by long division with 21-bit digits: small enough that a digit times a u32 is exact in a double. A leading one and two digits
 * are enough to round to binary32, three digits and a guard bit for the wider formats.
 */
export function divide(a: Unpacked, b: Unpacked, r: Unpacked, format: Format): void {
  const dh = b.hi;
  const dl = b.lo;
  const divisor = dh * TWO32 + dl;
  let rh = a.hi;
  let rl = a.lo;
  r.exp = a.exp - b.exp;
  if (rh < dh || (rh === dh && rl < dl)) {
    rh = rh * 2 + (rl >>> 31);
    rl = (rl << 1) >>> 0;
    r.exp--;
  }
  // The quotient's leading one.
  rl -= dl;
  rh -= dh;
  if (rl < 0) {
    rl += TWO32;
    rh--;
  }
  let q1 = 0;
  let q2 = 0;
  let q3 = 0;
  for (let digits = format.precision === 24 ? 2 : 3; digits > 0; digits--) {
    // The estimate is at most one off, so the new remainder is between -divisor and 2 * divisor.
    let q = Math.floor(((rh * TWO32 + rl) / divisor) * 0x200000);
    const low = rl * 0x200000 - q * dl;
    const carry = Math.floor(low / TWO32);
    rh = rh * 0x200000 - q * dh + carry;
    rl = low - carry * TWO32;
    if (rh < 0) {
      q--;
      rl += dl;
      rh += dh;
      if (rl >= TWO32) {
        rl -= TWO32;
        rh++;
      }
    } else if (rh > dh || (rh === dh && rl >= dl)) {
      q++;
      rl -= dl;
      rh -= dh;
      if (rl < 0) {
        rl += TWO32;
        rh--;
      }
    }
    q1 = q2;
    q2 = q3;
    q3 = q;
  }
  if (format.precision === 24) {
    q1 = q2;
    q2 = q3;
    q3 = 0;
  }
  const sticky = rh + rl !== 0 ? 1 : 0;
  const twice = rh * 2 + (rl >= 0x80000000 ? 1 : 0);
  const guard = format.precision !== 24 && (twice > dh || (twice === dh && (rl << 1) >>> 0 >= dl));
  r.kind = Kind.Finite;
  r.negative = a.negative !== b.negative;
  r.denormal = false;
  r.hi = (0x80000000 | (q1 << 10) | (q2 >>> 11)) >>> 0;
  r.lo = ((q2 << 21) | q3) >>> 0;
  r.ext = guard ? (twice === dh && (rl << 1) >>> 0 === dl ? 0x80000000 : 0x80000001) : sticky;
}

/**
 * r = square root of the positive `a`: 32 root bits from a double, and 32 more for the wider formats by dividing the remainder by twice
 * the root so far (P. Zimmermann, "Karatsuba Square Root", 1999).
 */
export function squareRoot(a: Unpacked, r: Unpacked, format: Format): void {
  const odd = (a.exp & 1) !== 0;
  // The radicand w0:w1:w2:0, scaled so that its integer root has its leading one at bit 63.
  const w0 = odd ? a.hi : a.hi >>> 1;
  const w1 = odd ? a.lo : ((a.hi << 31) | (a.lo >>> 1)) >>> 0;
  const w2 = odd ? 0 : (a.lo << 31) >>> 0;
  r.kind = Kind.Finite;
  r.negative = false;
  r.denormal = false;
  r.exp = (odd ? a.exp - 1 : a.exp) / 2;

  let s = Math.min(Math.floor(Math.sqrt(w0 * TWO32 + w1)), 0xffffffff);
  let rem = (w0 - mulHigh(s, s)) * TWO32 + (w1 - (Math.imul(s, s) >>> 0));
  if (rem < 0) {
    s--;
    rem += 2 * s + 1;
  } else if (rem > 2 * s) {
    rem -= 2 * s + 1;
    s++;
  }
  if (format.precision === 24) {
    r.hi = s;
    r.lo = 0;
    r.ext = rem !== 0 || w2 !== 0 ? 1 : 0;
    return;
  }

  const divisor = 2 * s;
  const high = rem * 0x10000 + (w2 >>> 16);
  const q1 = Math.floor(high / divisor);
  const middle = (high - q1 * divisor) * 0x10000 + (w2 & 0xffff);
  const q2 = Math.floor(middle / divisor);
  let q = q1 * 0x10000 + q2;
  let rh = middle - q2 * divisor;
  if (q > 0xffffffff) {
    rh += (q - 0xffffffff) * divisor;
    q = 0xffffffff;
  }
  rh -= mulHigh(q, q);
  let rl = -(Math.imul(q, q) >>> 0);
  if (rl < 0) {
    rl += TWO32;
    rh--;
  }
  if (rh < 0) {
    q--;
    rl += 2 * q + 1;
    const carry = Math.floor(rl / TWO32);
    rl -= carry * TWO32;
    rh += 2 * s + carry;
  }
  r.hi = s;
  r.lo = q;
  // (root + 1/2)^2 = root^2 + root + 1/4: above the halfway point exactly when the remainder exceeds the root. It is never on it.
  const above = rh > s || (rh === s && rl > q);
  r.ext = above ? 0x80000001 : rh !== 0 || rl !== 0 ? 1 : 0;
}

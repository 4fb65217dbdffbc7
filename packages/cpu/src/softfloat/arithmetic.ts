// The five operations on finite, nonzero, normalised numbers. Each leaves in `r` the exact result, or its first 96 bits with the rest
// condensed into the sticky bit: what rounding needs and no more. `r` may not be an operand. No exceptions are raised here.
import { Kind, type Format, type Unpacked } from "./number.js";

const TWO32 = 4294967296;

/** High word of the 64-bit product of two u32. */
function mulHigh(a: number, b: number): number {
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

/** r = a / b, by restoring division: 32 quotient bits are enough to round to binary32, 65 for the wider formats. */
export function divide(a: Unpacked, b: Unpacked, r: Unpacked, format: Format): void {
  const dh = b.hi;
  const dl = b.lo;
  // The partial remainder is below twice the divisor: 65 bits, the high 33 of them in `rh`.
  let rh = a.hi;
  let rl = a.lo;
  let exp = a.exp - b.exp;
  if (rh < dh || (rh === dh && rl < dl)) {
    rh = rh * 2 + (rl >>> 31);
    rl = (rl << 1) >>> 0;
    exp--;
  }
  let qh = 0;
  let ql = 0;
  let guard = 0;
  const bits = format.precision === 24 ? 32 : 65;
  for (let i = 0; i < bits; i++) {
    qh = (qh << 1) | (ql >>> 31);
    ql = (ql << 1) | guard;
    guard = 0;
    if (rh > dh || (rh === dh && rl >= dl)) {
      guard = 1;
      rh -= dh;
      rl -= dl;
      if (rl < 0) {
        rl += TWO32;
        rh--;
      }
    }
    rh = rh * 2 + (rl >>> 31);
    rl = (rl << 1) >>> 0;
  }
  const sticky = rh + rl !== 0 ? 1 : 0;
  r.kind = Kind.Finite;
  r.negative = a.negative !== b.negative;
  r.denormal = false;
  r.exp = exp;
  if (bits === 32) {
    r.hi = ((ql << 1) | guard) >>> 0;
    r.lo = 0;
    r.ext = sticky;
  } else {
    r.hi = qh >>> 0;
    r.lo = ql >>> 0;
    r.ext = ((guard << 31) | sticky) >>> 0;
  }
}

/** r = square root of the positive `a`, two radicand bits a step. */
export function squareRoot(a: Unpacked, r: Unpacked, format: Format): void {
  const odd = (a.exp & 1) !== 0;
  // The radicand, scaled so that its integer root has its leading one at the top of the words produced.
  const w0 = odd ? a.hi : a.hi >>> 1;
  const w1 = odd ? a.lo : (a.hi << 31) | (a.lo >>> 1);
  const w2 = odd ? 0 : a.lo << 31;
  const words = format.precision === 24 ? 2 : 4;
  // Remainder and trial divisor need up to 67 bits: their high parts are JS numbers, not u32.
  let rh = 0;
  let rl = 0;
  let qh = 0;
  let ql = 0;
  for (let w = 0; w < words; w++) {
    let pairs = w === 0 ? w0 : w === 1 ? w1 : w === 2 ? w2 : 0;
    for (let i = 0; i < 16; i++) {
      rh = rh * 4 + (rl >>> 30);
      rl = ((rl << 2) | (pairs >>> 30)) >>> 0;
      pairs <<= 2;
      const th = qh * 4 + (ql >>> 30);
      const tl = ((ql << 2) | 1) >>> 0;
      qh = qh * 2 + (ql >>> 31);
      ql = (ql << 1) >>> 0;
      if (rh > th || (rh === th && rl >= tl)) {
        ql++;
        rh -= th;
        rl -= tl;
        if (rl < 0) {
          rl += TWO32;
          rh--;
        }
      }
    }
  }
  const inexact = rh !== 0 || rl !== 0;
  r.kind = Kind.Finite;
  r.negative = false;
  r.denormal = false;
  r.exp = (odd ? a.exp - 1 : a.exp) / 2;
  if (words === 2) {
    r.hi = ql;
    r.lo = 0;
    r.ext = inexact ? 1 : 0;
  } else {
    r.hi = qh;
    r.lo = ql;
    // (q + 1/2)^2 = q^2 + q + 1/4: the root is above the halfway point exactly when the remainder exceeds q. It is never on it.
    const above = rh > qh || (rh === qh && rl > ql);
    r.ext = above ? 0x80000001 : inexact ? 1 : 0;
  }
}

// The memory encodings of binary32, binary64 and f80 (IEEE 754-2019 clause 3.4; SDM Vol. 1, 4.2.2 and 8.2).
import { Kind, QUIET_BIT, type Unpacked } from "./number.js";

/** Takes a binary32 apart; `daz` reads a denormal as a zero of its sign (MXCSR.DAZ, SDM Vol. 1, 10.2.3.4). */
export function unpack32(bits: number, r: Unpacked, daz: boolean): void {
  r.negative = bits < 0 || bits > 0x7fffffff;
  fill(r, (bits >>> 23) & 0xff, 0xff, 127, (bits << 9) >>> 1, 0, daz);
}

/** Takes a binary64 apart, as {@link unpack32}. */
export function unpack64(lo: number, hi: number, r: Unpacked, daz: boolean): void {
  r.negative = hi < 0 || hi > 0x7fffffff;
  fill(r, (hi >>> 20) & 0x7ff, 0x7ff, 1023, ((hi << 11) & 0x7fffffff) | (lo >>> 21), (lo << 11) >>> 0, daz);
}

/**
 * Takes an f80 apart: `se` is its top 16 bits (sign and exponent), `hi:lo` the significand with its explicit integer bit. Pseudo-denormals
 * count as denormals; unnormals, pseudo-infinities and pseudo-NaNs are unsupported.
 */
export function unpack80(lo: number, hi: number, se: number, r: Unpacked): void {
  const biased = se & 0x7fff;
  const integerBit = (hi & 0x80000000) !== 0;
  r.negative = (se & 0x8000) !== 0;
  r.denormal = false;
  r.exp = biased - 16383;
  r.hi = hi >>> 0;
  r.lo = lo >>> 0;
  r.ext = 0;
  if (biased === 0) {
    if ((hi | lo) === 0) {
      r.setSpecial(Kind.Zero, r.negative);
      return;
    }
    r.kind = Kind.Finite;
    r.denormal = true;
    r.exp = -16382;
    r.normalize();
  } else if (!integerBit) {
    r.kind = Kind.Unsupported;
  } else if (biased !== 0x7fff) {
    r.kind = Kind.Finite;
  } else if (((hi << 1) | lo) === 0) {
    r.kind = Kind.Infinity;
  } else {
    r.kind = (hi & QUIET_BIT) !== 0 ? Kind.QuietNaN : Kind.SignalingNaN;
  }
}

/** The sign and exponent (top 16 bits) of the f80 encoding of a rounded number; its significand is `hi:lo` as it stands. */
export function pack80Top(r: Unpacked): number {
  return (r.negative ? 0x8000 : 0) | biasedExponent(r, 0x7fff, 16383);
}

/** `hi:lo` is the fraction, left-justified below bit 63. */
function fill(r: Unpacked, biased: number, top: number, bias: number, hi: number, lo: number, daz: boolean): void {
  const empty = (hi | lo) === 0;
  r.denormal = false;
  r.exp = biased - bias;
  r.ext = 0;
  r.lo = lo;
  if (biased === 0) {
    if (empty || daz) {
      r.setSpecial(Kind.Zero, r.negative);
      return;
    }
    // Weight of bit 63 in a denormal is that of the smallest normal number.
    r.kind = Kind.Finite;
    r.denormal = true;
    r.exp = 1 - bias;
    r.hi = hi;
    r.normalize();
    return;
  }
  r.hi = (hi | 0x80000000) >>> 0;
  if (biased !== top) r.kind = Kind.Finite;
  else if (empty) r.kind = Kind.Infinity;
  else r.kind = (hi & QUIET_BIT) !== 0 ? Kind.QuietNaN : Kind.SignalingNaN;
}

/** Biased exponent of a number already rounded to its format; a finite one without a leading one at bit 63 is denormal. */
function biasedExponent(r: Unpacked, top: number, bias: number): number {
  if (r.kind === Kind.Zero) return 0;
  if (r.kind !== Kind.Finite) return top;
  return r.hi >= 0x80000000 ? r.exp + bias : 0;
}

/** The binary32 encoding of a rounded number, as u32. */
export function pack32(r: Unpacked): number {
  return ((r.negative ? 0x80000000 : 0) | (biasedExponent(r, 0xff, 127) << 23) | ((r.hi >>> 8) & 0x7fffff)) >>> 0;
}

/** High word of the binary64 encoding of a rounded number, as u32. */
export function pack64High(r: Unpacked): number {
  return ((r.negative ? 0x80000000 : 0) | (biasedExponent(r, 0x7ff, 1023) << 20) | ((r.hi >>> 11) & 0xfffff)) >>> 0;
}

/** Low word of the binary64 encoding of a rounded number, as u32. */
export function pack64Low(r: Unpacked): number {
  return ((r.hi << 21) | (r.lo >>> 11)) >>> 0;
}

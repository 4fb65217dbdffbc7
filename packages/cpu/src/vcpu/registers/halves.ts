/** A linear address or a 64-bit value as signed halves. */
export interface Halves {
  lo: number;
  hi: number;
}

/** `a + b` modulo 2^64 into `out`. */
export function add64(out: Halves, aLo: number, aHi: number, bLo: number, bHi: number): void {
  const sum = (aLo >>> 0) + (bLo >>> 0);
  out.lo = sum | 0;
  out.hi = (aHi + bHi + (sum > 0xffffffff ? 1 : 0)) | 0;
}

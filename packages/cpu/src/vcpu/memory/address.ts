/** Low half of the first byte of the page after that of low half `lo`; see `carried`. */
export const nextPage = (lo: number): number => ((lo | 0xfff) + 1) | 0;

/** High half of the address whose low half is `at`, some bytes after `hi:lo`. */
export function carried(lo: number, hi: number, at: number): number {
  return at >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi;
}

/** Whether `size` bytes, at most a page, at low half `lo` are on two pages. */
export const crosses = (lo: number, size: number): boolean => (lo & 0xfff) + size > 4096;

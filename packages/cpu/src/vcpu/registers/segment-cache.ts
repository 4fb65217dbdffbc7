import { ATTR_CODE, ATTR_DB, ATTR_EXPAND_DOWN, ATTR_P, ATTR_READABLE, ATTR_WRITABLE } from "./constants.js";

/** The hidden part of a segment register (SDM vol. 3, 3.4.3). Bases as signed halves; limit in bytes, inclusive. */
export interface SegmentCache {
  readonly selector: number;
  readonly baseLo: number;
  readonly baseHi: number;
  readonly limit: number;
  /** Descriptor bits 40-55, shifted down by 40. */
  readonly attributes: number;
}

export const emptySegment = (): SegmentCache => ({
  selector: 0,
  baseLo: 0,
  baseHi: 0,
  limit: 0xffff,
  attributes: 0x93,
});

/** What `rebased` made last, and of what, by base: SWAPGS and the kernel's task switch go to and fro between a few. */
const made: { from: SegmentCache; to: SegmentCache }[] = Array.from({ length: 64 }, () => {
  const cache = emptySegment();
  return { from: cache, to: cache };
});

/** `cache` with another base. */
export function rebased(cache: SegmentCache, baseLo: number, baseHi: number): SegmentCache {
  // Bases are multiples of large powers of two: a product scatters them.
  const last = made[Math.imul(baseLo + baseHi, 0x9e3779b1) >>> 26] as (typeof made)[number];
  const { to } = last;
  if (to.baseLo !== baseLo || to.baseHi !== baseHi || !(last.from === cache || sameButBase(to, cache))) {
    const { selector, limit, attributes } = cache;
    last.to = { selector, baseLo, baseHi, limit, attributes };
  }
  last.from = cache;
  return last.to;
}

const sameButBase = (a: SegmentCache, b: SegmentCache): boolean =>
  a.selector === b.selector && a.limit === b.limit && a.attributes === b.attributes;

/** Offsets that may be accessed, inclusive, and how. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** What a segment register lets through outside 64-bit code: limit, expansion and type (SDM vol. 3, 5.3, 5.4.1 and 3.4.5.1). */
export function boundsOf({ limit, attributes }: SegmentCache, protectedMode: boolean): Bounds {
  if (!protectedMode) return { low: 0, high: limit, readable: true, writable: true };
  const usable = (attributes & ATTR_P) !== 0;
  if (attributes & ATTR_CODE) {
    return { low: 0, high: limit, readable: usable && (attributes & ATTR_READABLE) !== 0, writable: false };
  }
  const writable = usable && (attributes & ATTR_WRITABLE) !== 0;
  if (!(attributes & ATTR_EXPAND_DOWN)) return { low: 0, high: limit, readable: usable, writable };
  const any = usable && limit !== 0xffffffff;
  const high = attributes & ATTR_DB ? 0xffffffff : 0xffff;
  return { low: limit + 1, high, readable: any, writable: any && writable };
}

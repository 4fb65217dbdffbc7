import type { SegmentCache } from "../registers/segment-cache.js";

/** A segment register of virtual-8086 mode: 64 KiB from 16 times the selector, level 3 (SDM vol. 3, 20.2.1). */
export const segment8086 = (selector: number): SegmentCache => ({
  selector,
  baseLo: selector << 4,
  baseHi: 0,
  limit: 0xffff,
  attributes: 0xf3,
});

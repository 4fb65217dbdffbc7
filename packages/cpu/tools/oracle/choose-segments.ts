import { Seg } from "../../src/index.js";
import type { Random } from "../random.js";
import { CODE_OFFSET, CODE_PAGE, type CodeBits, DATA_PAGE } from "../replay/initial-state.js";
import type { Segment, Segments } from "../replay/segments.js";

/** Descriptor bits 40-55, shifted down by 40: present, privilege 3, code or data, accessed; then what may be added. */
const PRESENT = 0xf1;
const CODE = 0x08;
/** Of data writable, of code readable. */
const WRITABLE = 0x02;
const EXPAND_DOWN = 0x04;
const BIG = 0x4000;
const PAGES = 0x8000;

/** Segments around the two pages of a case, for code of 16 or 32 bits: limits near what is accessed, all types that can be loaded. */
export function chooseSegments(random: Random, bits: CodeBits): Segments {
  const chosen = new Map<number, Segment>([[Seg.CS, codeSegment(random, bits)]]);
  if (bits === 16 || random.oneIn(2)) chosen.set(Seg.SS, dataSegment(random, true));
  for (const register of [Seg.DS, Seg.ES, Seg.FS, Seg.GS])
    if (bits === 16 || random.oneIn(2))
      chosen.set(register, random.oneIn(10) ? readableCode(random) : dataSegment(random, false));
  return chosen;
}

function codeSegment(random: Random, bits: CodeBits): Segment {
  // Linux describes no conforming code.
  const kind = CODE | (random.oneIn(3) ? 0 : WRITABLE);
  const attributes = PRESENT | kind | (bits === 32 ? BIG : 0);
  if (random.oneIn(8)) return { base: CODE_PAGE, limit: CODE_OFFSET + random.below(12), attributes };
  return { base: CODE_PAGE, limit: 0xfff, attributes: attributes | (random.oneIn(2) ? PAGES : 0) };
}

const readableCode = (random: Random): Segment => ({
  base: DATA_PAGE,
  limit: random.oneIn(2) ? 0xfff : 0x640 + random.below(0x400),
  attributes: PRESENT | CODE | WRITABLE,
});

function dataSegment(random: Random, writable: boolean): Segment {
  const attributes = PRESENT | (writable || !random.oneIn(4) ? WRITABLE : 0) | (random.oneIn(2) ? BIG : 0);
  if (random.oneIn(4)) {
    // Offsets above the limit are valid, up to 0xffff or 0xffffffff.
    const top = attributes & BIG ? 0 : 0xf000;
    return { base: DATA_PAGE - top, limit: top + 0x5ff + random.below(0x300), attributes: attributes | EXPAND_DOWN };
  }
  const base = random.oneIn(3) ? DATA_PAGE - 16 * random.below(0x100) : DATA_PAGE;
  const end = DATA_PAGE - base;
  if (random.oneIn(4)) return { base, limit: 0xffffffff, attributes: attributes | PAGES };
  return { base, limit: end + (random.oneIn(2) ? 0xfff : 0x640 + random.below(0x400)), attributes };
}

/** Bit of a descriptor that says it is there. */
const P = 0x80;

const maybeAbsent = (random: Random, segment: Segment): Segment =>
  random.oneIn(8) ? { ...segment, attributes: segment.attributes & ~P } : segment;

/** Code to jump to, of 16 or 32 bits. */
export const otherCode = (random: Random): Segment =>
  maybeAbsent(random, codeSegment(random, random.oneIn(2) ? 16 : 32));

/** Data to be loaded, read-only or writable. */
export const otherData = (random: Random): Segment => maybeAbsent(random, dataSegment(random, false));

/** A stack pointer for the stack segment: mostly in the middle of the data page, now and then at an edge. */
export function chooseStackPointer(random: Random, { base, attributes }: Segment): bigint {
  const big = (attributes & BIG) !== 0;
  const offset = (DATA_PAGE + 0x800 - base) >>> 0;
  const low = random.oneIn(12) ? random.below(12) : offset;
  // The upper half does not count, and stays, where the stack has 16 bits.
  return BigInt(big ? low : ((low & 0xffff) | (random.below(0x10000) << 16)) >>> 0);
}

import type { SegmentCache } from "../../src/index.js";

/** A descriptor: where the segment begins, its limit in bytes (inclusive), descriptor bits 40-55 shifted down by 40. */
export interface Segment {
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
}

/** Attribute bit of a stack of 32 bits. */
export const ATTR_DB = 0x4000;

/** Local descriptors a case may have. */
export const DESCRIPTORS = 16;
/** The first of those that belong to no segment register. */
export const FIRST_FREE = 6;

/** Local descriptors by number: those of ES CS SS DS FS GS are 0..5, without one the register is flat; then others to be loaded. */
export type Segments = ReadonlyMap<number, Segment>;

/** As vectors have them: three hexadecimal numbers. */
export type SegmentTexts = Readonly<Record<string, string>>;

export const parseSegments = (texts: SegmentTexts): Segments =>
  new Map(
    Object.entries(texts).map(([register, text]) => {
      const [base = 0, limit = 0, attributes = 0] = text.split(" ").map((digits) => Number.parseInt(digits, 16));
      return [Number(register), { base, limit, attributes }];
    }),
  );

export const formatSegments = (segments: Segments): SegmentTexts =>
  Object.fromEntries(
    [...segments].map(([register, { base, limit, attributes }]) => [
      register,
      [base, limit, attributes].map((value) => value.toString(16)).join(" "),
    ]),
  );

/** Selectors are those of the recorder's local descriptor table. */
export const cacheOf = (register: number, { base, limit, attributes }: Segment): SegmentCache => ({
  selector: selectorOf(register),
  baseLo: base | 0,
  baseHi: 0,
  limit,
  attributes,
});

/** Local descriptor `number`, privilege 3. */
export const selectorOf = (number: number): number => (number << 3) | 7;

/** Selectors of Linux: code of 64 and 32 bits, data; FS and GS are null, with a base. */
const CS_64 = 0x33;
const CS_32 = 0x23;
const DATA = 0x2b;

/** ES CS SS DS FS GS as a case begins. */
export function initialSelectors(bits: number, segments: Segments | undefined): number[] {
  const flat = [DATA, bits === 64 ? CS_64 : CS_32, DATA, DATA, 0, 0];
  return flat.map((selector, k) => (segments?.has(k) ? selectorOf(k) : selector));
}

/** The descriptor in memory: halves (SDM vol. 3, 3.4.5). */
export function descriptorOf({ base, limit, attributes }: Segment): readonly [number, number] {
  const raw = attributes & 0x8000 ? limit >>> 12 : limit;
  return [
    (raw & 0xffff) | ((base & 0xffff) << 16),
    (base & 0xff000000) | (raw & 0xf0000) | ((attributes & 0xf0ff) << 8) | ((base >>> 16) & 0xff),
  ];
}

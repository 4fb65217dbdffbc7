import type { SegmentCache } from "../../src/index.js";

/** The hidden part of a segment register: where it begins, its limit in bytes (inclusive), descriptor bits 40-55 shifted down by 40. */
export interface Segment {
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
}

/** Segments by register number: ES CS SS DS FS GS = 0..5. */
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
  selector: (register << 3) | 7,
  baseLo: base | 0,
  baseHi: 0,
  limit,
  attributes,
});

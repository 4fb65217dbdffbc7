import type { SnapshotFile } from "./source.js";

/** A stored content that is to be read ahead. */
export interface AheadRange {
  readonly content: number;
  readonly file: SnapshotFile;
  /** First byte in the file. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** Contents that one read has, by offset. */
export type AheadRead = readonly [AheadRange, ...AheadRange[]];

/** Bytes between two contents that are rather read with them than asked for apart. */
const GAP = 2 ** 16;
/** Bytes of a read. */
const MOST = 2 ** 20;

/** Puts together what lies close together. The reads are in the order in which the first content of each is wanted. */
export function planReads(ranges: readonly AheadRange[]): readonly AheadRead[] {
  const rank = new Map(ranges.map((range, k) => [range, k]));
  const reads: [AheadRange, ...AheadRange[]][] = [];
  for (const file of new Set(ranges.map((range) => range.file))) {
    let last: [AheadRange, ...AheadRange[]] | undefined;
    for (const range of ranges.filter((other) => other.file === file).sort((a, b) => a.offset - b.offset)) {
      if (last !== undefined && fits(last, range)) last.push(range);
      else {
        last = [range];
        reads.push(last);
      }
    }
  }
  const first = (read: AheadRead): number => Math.min(...read.map((range) => rank.get(range) as number));
  return reads.sort((a, b) => first(a) - first(b));
}

function fits(read: AheadRead, { offset, length }: AheadRange): boolean {
  return offset - endOf(read) <= GAP && offset + length - read[0].offset <= MOST;
}

/** Behind the last byte of a read. */
export function endOf(read: AheadRead): number {
  const { offset, length } = read.at(-1) as AheadRange;
  return offset + length;
}

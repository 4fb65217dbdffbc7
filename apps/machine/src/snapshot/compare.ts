import type { MemslotDesc } from "@vm/mmu";
import { keyOf } from "./digest.js";
import { CHUNK_BYTES } from "./layout.js";
import { differencesOf, type ValueDifferences } from "./value-difference.js";

/** What is compared of a snapshot. */
export interface Comparable {
  readonly meta: unknown;
  readonly state: unknown;
  readonly memslots: readonly MemslotDesc[];
  /** Numbers of the chunks that are not all zeros, ascending. */
  readonly chunks: Uint32Array;
  /** SHA-256 of a chunk; null if it is all zeros. */
  digestOf(chunk: number): Uint8Array | null;
}

/** Chunks of 64 KiB that differ in one way. */
export interface ChunkDifferences {
  readonly chunks: number;
  /** Bytes of these chunks, which is at least what differs of them. */
  readonly bytes: number;
  /** How many ranges they are, neighbours together. */
  readonly ranges: number;
  readonly first: readonly MemoryRange[];
}

export interface MemoryRange {
  /** First byte. */
  readonly gpa: number;
  readonly bytes: number;
}

export interface SnapshotDifferences {
  readonly same: boolean;
  readonly meta: ValueDifferences;
  readonly memslots: ValueDifferences;
  readonly memory: {
    /** All zeros in the other. */
    readonly onlyA: ChunkDifferences;
    readonly onlyB: ChunkDifferences;
    readonly different: ChunkDifferences;
  };
  readonly state: ValueDifferences;
}

/** Compares two snapshots by what their heads say: of memory, by the digests of its chunks. @param most values and ranges of a kind that are told */
export function compareSnapshots(a: Comparable, b: Comparable, most: number): SnapshotDifferences {
  const kinds = { onlyA: [] as number[], onlyB: [] as number[], different: [] as number[] };
  for (const chunk of new Set([...a.chunks, ...b.chunks])) {
    const [inA, inB] = [a.digestOf(chunk), b.digestOf(chunk)];
    if (inB === null) kinds.onlyA.push(chunk);
    else if (inA === null) kinds.onlyB.push(chunk);
    else if (keyOf(inA) !== keyOf(inB)) kinds.different.push(chunk);
  }
  const told = (chunks: readonly number[]): ChunkDifferences => {
    const ranges = rangesOf(chunks);
    const bytes = chunks.length * CHUNK_BYTES;
    return { chunks: chunks.length, bytes, ranges: ranges.length, first: ranges.slice(0, most) };
  };
  const { onlyA, onlyB, different } = kinds;
  const [meta, memslots, state] = [
    differencesOf(a.meta, b.meta, most),
    differencesOf(a.memslots, b.memslots, most),
    differencesOf(a.state, b.state, most),
  ];
  const count = meta.count + memslots.count + state.count + onlyA.length + onlyB.length + different.length;
  const memory = { onlyA: told(onlyA), onlyB: told(onlyB), different: told(different) };
  return { same: count === 0, meta, memslots, memory, state };
}

function rangesOf(chunks: readonly number[]): readonly MemoryRange[] {
  const ranges: MemoryRange[] = [];
  for (const chunk of [...chunks].sort((one, other) => one - other)) {
    const gpa = chunk * CHUNK_BYTES;
    const last = ranges.at(-1);
    if (last !== undefined && last.gpa + last.bytes === gpa)
      ranges[ranges.length - 1] = { gpa: last.gpa, bytes: last.bytes + CHUNK_BYTES };
    else ranges.push({ gpa, bytes: CHUNK_BYTES });
  }
  return ranges;
}

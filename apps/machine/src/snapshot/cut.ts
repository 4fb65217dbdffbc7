import type { MemoryImage } from "@vm/mmu";
import { isZero } from "../is-zero.js";
import { SnapshotError } from "./error.js";
import { CHUNK_BYTES, LIMITS } from "./layout.js";
import { checkMemslots, MemoryRanges } from "./memory-layout.js";

const PAGE = 4096;
const PAGES = CHUNK_BYTES / PAGE;

/** A chunk of guest memory that is not all zeros. */
export interface CutChunk {
  readonly chunk: number;
  /** 65536 bytes, good until the next chunk is asked for. */
  readonly bytes: Uint8Array;
}

/**
 * Cuts touched pages into chunks, ascending; null for a piece of work that made none.
 * @throws {SnapshotError} "range" for memslots that cannot be, and pages that are not 4096 bytes of one of them, ascending; and what the image throws
 */
export function* cutChunks({ memslots, pages }: MemoryImage): Generator<CutChunk | null> {
  const memory = new MemoryRanges(checkMemslots(memslots, "the memory"));
  const bytes = new Uint8Array(CHUNK_BYTES);
  let current = -1;
  let last = -1;
  for (const { gfn, bytes: page } of pages) {
    if (!(gfn > last) || !Number.isInteger(gfn) || page.length !== PAGE || !memory.holds(gfn * PAGE, PAGE))
      throw new SnapshotError(
        "range",
        `page ${gfn} of ${page.length} bytes behind page ${last}: expected pages of ${PAGE} bytes, ascending, inside the memslots`,
      );
    last = gfn;
    const chunk = Math.floor(gfn / PAGES);
    if (chunk !== current) {
      if (current >= 0) yield nonZero(current, bytes);
      bytes.fill(0);
      current = chunk;
    }
    bytes.set(page, (gfn % PAGES) * PAGE);
  }
  if (current >= 0) yield nonZero(current, bytes);
}

const nonZero = (chunk: number, bytes: Uint8Array): CutChunk | null => (isZero(bytes) ? null : { chunk, bytes });

/** @throws {SnapshotError} "limit" for more chunks than a snapshot may have */
export function checkCount(chunks: number): void {
  if (chunks > LIMITS.chunks)
    throw new SnapshotError(
      "limit",
      `more than ${LIMITS.chunks} chunks of ${CHUNK_BYTES} bytes that are not zero cannot be stored`,
    );
}

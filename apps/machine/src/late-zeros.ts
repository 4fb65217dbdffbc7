import { CHUNK_PAGES, type ChunkSource, type Mmu } from "@vm/mmu";

const PAGE = 4096;

/** Memory of zeros that takes its time: what a test of asynchronous page faults needs. */
export const zerosAfter = (ms: number): ChunkSource => ({
  fetch: () =>
    new Promise((resolve) => {
      setTimeout(() => resolve(new Uint8Array(CHUNK_PAGES * PAGE)), ms);
    }),
});

/** Chunks of which nothing was ever touched. */
export function untouchedChunks(memory: Mmu): readonly number[] {
  const chunks: number[] = [];
  for (const { gpa, size } of memory.memslots)
    for (let chunk = Math.ceil(gpa / (CHUNK_PAGES * PAGE)); (chunk + 1) * CHUNK_PAGES * PAGE <= gpa + size; chunk++) {
      const first = chunk * CHUNK_PAGES;
      if (Array.from({ length: CHUNK_PAGES }, (_, k) => memory.peekFrame(first + k)).every((frame) => frame === 0))
        chunks.push(chunk);
    }
  return chunks;
}

import type { Gfn, Gpa, MemoryImage, MemslotDesc } from "@vm/mmu";

export const PAGE = 4096;
/** Pages of a chunk. */
export const PAGES = 16;

/** A memslot of `pages` pages from page `gfn` on. */
export const memslot = (slot: number, gfn: number, pages: number): MemslotDesc => ({
  slot,
  gpa: (gfn * PAGE) as Gpa,
  size: pages * PAGE,
});

/** A page whose bytes all follow from `seed`; 0 makes it zero. Half of it repeats, so that it can be packed. */
export function pageOf(seed: number): Uint8Array {
  const bytes = new Uint8Array(PAGE);
  if (seed === 0) return bytes;
  let state = seed | 1;
  for (let k = 0; k < PAGE; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[k] = k % 2 === 0 ? state >>> 24 : seed;
  }
  return bytes;
}

/** Guest memory with these pages, by frame number and seed. */
export const imageOf = (
  memslots: readonly MemslotDesc[],
  pages: readonly (readonly [gfn: number, seed: number])[],
): MemoryImage => ({
  memslots,
  pages: pages.map(([gfn, seed]) => ({ gfn: gfn as Gfn, bytes: pageOf(seed) })),
});

/** A chunk made of the pages of these seeds. */
export function chunkWith(pages: Readonly<Record<number, number>>): Uint8Array {
  const bytes = new Uint8Array(PAGE * PAGES);
  for (const [page, seed] of Object.entries(pages)) bytes.set(pageOf(seed), Number(page) * PAGE);
  return bytes;
}

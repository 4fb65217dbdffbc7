import type { Pfn } from "./arena.js";
import { Page } from "./bits.js";
import { type MemslotDesc, MemslotError, type Memslots } from "./memslots.js";

/** The contents of one touched page. */
export interface PageImage {
  readonly gfn: number;
  /** 4096 bytes. */
  readonly bytes: Uint8Array;
}

/** All of guest memory: how it is laid out, and the pages that were ever touched, ascending. */
export interface MemoryImage {
  readonly memslots: readonly MemslotDesc[];
  readonly pages: Iterable<PageImage>;
}

/**
 * Every touched page, in ascending order. `bytes` are views of guest memory: consume or copy them before the machine runs on.
 * @throws MemslotError EINVAL while iterating, if the memslots changed since the iteration began
 */
export function* touchedPages(slots: Memslots): Generator<PageImage> {
  const layout = slots.all;
  for (const slot of layout) {
    for (let page = 0; page < slot.pages; page++) {
      if (slots.all !== layout)
        throw new MemslotError("EINVAL", "the memslots changed while their pages were being saved");
      const pfn = slot.pfns[page] as Pfn;
      if (pfn === 0) continue;
      yield { gfn: slot.gfn + page, bytes: slots.arena.u8.subarray(pfn * Page.Size, (pfn + 1) * Page.Size) };
    }
  }
}

/**
 * Replaces all memslots and all contents by `image`.
 * @throws MemslotError if the layout does not fit, EINVAL if a page is not 4096 bytes inside one of its memslots. What was there before is gone then.
 */
export function restorePages(slots: Memslots, image: MemoryImage): void {
  for (const { slot } of [...slots.all]) slots.set({ slot, gpa: 0, size: 0 });
  for (const desc of image.memslots) slots.set(desc);
  const u8 = slots.arena.u8;
  for (const { gfn, bytes } of image.pages) {
    const slot = slots.find(gfn);
    if (slot === null || bytes.length !== Page.Size) {
      throw new MemslotError(
        "EINVAL",
        `page ${gfn} of ${bytes.length} bytes: expected ${Page.Size} bytes inside a memslot of the image`,
      );
    }
    u8.set(bytes, slots.touch(slot, gfn) * Page.Size);
  }
}

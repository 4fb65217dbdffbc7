import type { Pfn } from "./arena.js";
import { Page } from "./bits.js";
import { type Memslot, type MemslotDesc, MemslotError, type Memslots } from "./memslots.js";

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

/** Every touched page, ascending. `bytes` are views of guest memory: consume or copy them before the machine runs on. */
export class TouchedPages implements Iterable<PageImage> {
  readonly #layout: readonly Memslot[];

  /** @throws MemslotError EINVAL for memory of a guest_memfd, which may be private */
  constructor(readonly slots: Memslots) {
    const foreign = slots.all.find(({ own }) => !own);
    if (foreign !== undefined) {
      throw new MemslotError("EINVAL", `memslot ${foreign.slot} is made of a guest_memfd: its pages cannot be saved`);
    }
    this.#layout = slots.all;
  }

  /** @throws MemslotError EINVAL as soon as the memslots are no longer those of the time of construction */
  *[Symbol.iterator](): Generator<PageImage> {
    const { u8 } = this.slots.arena;
    for (const slot of this.#layout) {
      for (let page = 0; page < slot.pages; page++) {
        if (this.slots.all !== this.#layout) {
          throw new MemslotError("EINVAL", "the memslots changed while their pages were being saved");
        }
        const pfn = slot.pfns[page] as Pfn;
        if (pfn === 0) continue;
        yield { gfn: slot.gfn + page, bytes: u8.subarray(pfn * Page.Size, (pfn + 1) * Page.Size) };
      }
    }
  }
}

/**
 * Replaces all memslots and all contents by `image`.
 * @throws MemslotError EINVAL, with nothing changed, for an unread image of these very memslots (its pages are views of what would be dropped);
 * any code if the layout does not fit, EINVAL if a page is not 4096 bytes inside one of the image's memslots: what was there before is gone then
 */
export function restorePages(slots: Memslots, image: MemoryImage): void {
  if (image.pages instanceof TouchedPages && image.pages.slots === slots) {
    throw new MemslotError("EINVAL", "an image of the same memory: copy its pages before restoring them");
  }
  for (const { slot } of [...slots.all]) slots.set({ slot, gpa: 0, size: 0 });
  for (const desc of image.memslots) slots.set(desc);
  for (const { gfn, bytes } of image.pages) {
    const slot = slots.find(gfn);
    if (slot === null || bytes.length !== Page.Size) {
      throw new MemslotError(
        "EINVAL",
        `page ${gfn} of ${bytes.length} bytes: expected ${Page.Size} bytes inside a memslot of the image`,
      );
    }
    slots.arena.u8.set(bytes, slots.touch(slot, gfn) * Page.Size);
  }
}

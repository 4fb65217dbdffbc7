import type { Pfn } from "./arena.js";
import { Page } from "./bits.js";
import type { GuestVm } from "./guest-vm.js";
import { PrivateMemoryError } from "./kvm/errors.js";
import { type Memslot, type MemslotDesc, MemslotError, type Memslots } from "./memslots.js";
import { CHUNK_PAGES, NotResidentError } from "./residency.js";
import type { Gfn } from "./units.js";

/** The contents of one touched page. */
export interface PageImage {
  readonly gfn: Gfn;
  /** 4096 bytes. */
  readonly bytes: Uint8Array;
}

/** All of guest memory: how it is laid out, and the pages that were ever touched, ascending. */
export interface MemoryImage {
  readonly memslots: readonly MemslotDesc[];
  readonly pages: Iterable<PageImage>;
}

/** What an image is made of. */
export type SavedVm = Pick<GuestVm, "slots" | "source">;

/** Every touched page, ascending. `bytes` are views of guest memory: consume or copy them before the machine runs on. */
export class TouchedPages implements Iterable<PageImage> {
  readonly #layout: readonly Memslot[];

  /**
   * @throws PrivateMemoryError if there is private memory: only what the host can read can be saved; MemslotError EINVAL for shared memory outside of the
   * guest_memfd; NotResidentError while memory has not arrived
   */
  constructor(readonly vm: SavedVm) {
    this.#layout = vm.slots.all;
    for (const chunk of vm.slots.residency?.absent() ?? []) throw new NotResidentError(chunk * CHUNK_PAGES);
    for (const slot of this.#layout) {
      if (!slot.own && !slot.gmemOnly)
        throw new MemslotError(
          "EINVAL",
          `memslot ${slot.slot} shows memory of the process, which is not saved with it`,
        );
      for (let page = 0; page < slot.pages; page++) this.#refusePrivate(slot, page);
    }
  }

  #refusePrivate(slot: Memslot, page: number): void {
    if (this.vm.source.isPrivate(slot, slot.gfn + page)) throw new PrivateMemoryError(slot.gfn + page);
  }

  /**
   * @throws MemslotError EINVAL as soon as the memslots are no longer those of the time of construction; PrivateMemoryError for a page that has become
   * private; KvmError EHWPOISON for a broken one, EFAULT if the guest_memfd is closed
   */
  *[Symbol.iterator](): Generator<PageImage> {
    const { slots, source } = this.vm;
    for (const slot of this.#layout) {
      for (let page = 0; page < slot.pages; page++) {
        if (slots.all !== this.#layout)
          throw new MemslotError("EINVAL", "the memslots changed while their pages were being saved");
        this.#refusePrivate(slot, page);
        const gfn = slot.gfn + page;
        const pfn = slot.own ? (slot.pfns[page] as Pfn) : source.peekShared(slot, gfn);
        if (pfn !== 0) yield { gfn, bytes: slots.arena.u8.subarray(pfn * Page.Size, (pfn + 1) * Page.Size) };
      }
    }
  }
}

/**
 * Replaces all memslots and all contents by `image`.
 * @throws MemslotError EINVAL, with nothing changed, for an unread image of these very memslots (its pages are views of what would be dropped), and while there are
 * memslots of a guest_memfd;
 * any code if the layout does not fit, EINVAL if a page is not 4096 bytes inside one of the image's memslots: what was there before is gone then
 */
export function restorePages(slots: Memslots, image: MemoryImage): void {
  if (image.pages instanceof TouchedPages && image.pages.vm.slots === slots) {
    throw new MemslotError("EINVAL", "an image of the same memory: copy its pages before restoring them");
  }
  const foreign = slots.all.find(({ own }) => !own);
  if (foreign !== undefined) {
    const message = `memslot ${foreign.slot} is made of a guest_memfd, and an image is restored to memory of the machine's own: delete it first (deleteRegion)`;
    throw new MemslotError("EINVAL", message);
  }
  for (const { slot } of [...slots.all]) slots.set({ slot, gpa: 0, size: 0 });
  slots.residency = null;
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

import type { Task } from "@vm/lockdep";
import type { Pfn } from "../arena.js";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import type { Gfn } from "../units.js";
import { Binding } from "./binding.js";
import type { Folio } from "./folio.js";
import { isPrivate } from "./page-source.js";
import type { Vm } from "./vm.js";

/** What goes into private memory before the guest first runs. */
export interface Populate {
  readonly startGfn: Gfn;
  /** User address of the content, a multiple of 4096; null if the pages have it already. */
  readonly source: number | null;
  /** More than 0; what lies beyond the memslot is left out. */
  readonly pages: number;
  /** Whether a signal waits for the caller. */
  readonly signalPending?: () => boolean;
  /**
   * Gives a page to the guest: maps `pfn` and fills it, encrypting or not. slots_lock and invalidate_lock are held. `source` is null if the content is
   * there.
   */
  readonly postPopulate: (gfn: Gfn, pfn: Pfn, source: Folio | null) => Promise<void>;
}

/**
 * Fills private memory page by page. slots_lock is held, and mmap_lock is not taken inside invalidate_lock: the source page is pinned first
 * (linux, commit 2a62345b3052; `gupInsideInvalidateLock` has the order before it).
 * @returns pages done; fewer than asked for if a later one failed
 * @throws KvmError if not even the first was done: EINVAL, EFAULT if the guest_memfd is gone or the source cannot be read, EINTR, ENOMEM, what
 *   `postPopulate` throws
 */
export async function populate(task: Task, vm: Vm, what: Populate): Promise<number> {
  vm.locks.slotsLock.assertHeld(task);
  const { startGfn, source, pages } = what;
  if (!(pages > 0) || (source !== null && !Number.isInteger(source / Page.Size)))
    throw new KvmError("EINVAL", `populate of ${pages} pages from ${source}: at least one, from a multiple of 4096`);
  const slot = vm.slots.find(startGfn);
  if (!slot?.hasGmem) throw new KvmError("EINVAL", `guest frame ${startGfn} is not in a memslot with a guest_memfd`);
  const binding = slot.gmem;
  if (!(binding instanceof Binding)) throw new KvmError("EFAULT", `the guest_memfd of memslot ${slot.slot} is closed`);
  const count = Math.min(pages, slot.gfn + slot.pages - startGfn);
  for (let done = 0; done < count; done++) {
    try {
      if (what.signalPending?.()) throw new KvmError("EINTR", "a signal waits");
      await populatePage(task, binding, startGfn + done, source === null ? null : source + done * Page.Size, what);
    } catch (error) {
      if (done > 0 && error instanceof KvmError) return done;
      throw error;
    }
  }
  return count;
}

async function populatePage(task: Task, binding: Binding, gfn: Gfn, source: number | null, what: Populate) {
  const { vm, inode } = binding.file;
  const pin = async (): Promise<Folio | null> => (source === null ? null : await vm.mm.gupFast(task, source));
  const fill = (content: Folio | null): Promise<void> => fillPage(binding, gfn, content, what);
  if (vm.params.gupInsideInvalidateLock)
    await inode.invalidateLock.write(task, async () => unpinned(await pin(), fill));
  else await unpinned(await pin(), (content) => inode.invalidateLock.write(task, () => fill(content)));
}

async function unpinned(pinned: Folio | null, use: (content: Folio | null) => Promise<void>): Promise<void> {
  try {
    await use(pinned);
  } finally {
    pinned?.put();
  }
}

async function fillPage(
  { file, slot, pgoff }: Binding,
  gfn: Gfn,
  content: Folio | null,
  what: Populate,
): Promise<void> {
  const { inode } = file;
  const index = pgoff + gfn - slot.gfn;
  if (!isPrivate(slot, gfn, file.vm))
    throw new KvmError("EINVAL", `guest frame ${gfn} is shared: only private memory is populated`);
  const folio = inode.folio(index)?.get();
  if (folio === undefined) throw new KvmError("ENOMEM", `page ${index}: too many removed pages are pinned`);
  try {
    if (folio.hwpoison) throw new KvmError("EHWPOISON", `page ${index} is broken`);
    if (content === null) folio.clear();
    folio.zeroed = false;
    await what.postPopulate(gfn, folio.pfn, content);
    folio.uptodate = true;
  } finally {
    folio.put();
  }
}

import { Page } from "./bits.js";
import type { FirstWrites } from "./first-writes.js";
import { KvmError } from "./kvm/errors.js";
import type { Memslot, MemslotDesc, Memslots } from "./memslots.js";
import { CHUNK_PAGES, type ChunkSource } from "./residency.js";
import type { Gfn } from "./units.js";

/** A memslot as it was: what of it has been written since was copied before. */
class FrozenSlot implements FirstWrites {
  readonly gfn: Gfn;
  readonly #slot: Memslot;
  readonly #u8: Uint8Array;
  /** Bit i of word i >>> 5: page i was written. */
  readonly #written: Uint32Array;
  /** Of pages that were written; one that is not here was all zeros. */
  readonly #copies = new Map<number, Uint8Array>();

  constructor(slot: Memslot, u8: Uint8Array) {
    this.gfn = slot.gfn;
    this.#slot = slot;
    this.#u8 = u8;
    this.#written = new Uint32Array((slot.pages + 31) >>> 5);
  }

  get pages(): number {
    return this.#slot.pages;
  }

  has(page: number): boolean {
    return (((this.#written[page >>> 5] as number) >>> (page & 31)) & 1) === 1;
  }

  mark(page: number): void {
    if (this.has(page)) return;
    const live = this.#live(page);
    if (live !== null) this.#copies.set(page, live.slice());
    this.#written[page >>> 5] = (this.#written[page >>> 5] as number) | (1 << (page & 31));
  }

  /** Null: all zeros. */
  read(page: number): Uint8Array | null {
    return this.has(page) ? (this.#copies.get(page) ?? null) : this.#live(page);
  }

  unfreeze(): void {
    this.#slot.ignore(this);
  }

  #live(page: number): Uint8Array | null {
    const pfn = this.#slot.pfns[page] as number;
    return pfn === 0 ? null : this.#u8.subarray(pfn * Page.Size, (pfn + 1) * Page.Size);
  }
}

/**
 * All of guest memory as it was at a moment, while its guest goes on. Nothing is copied but what is written since, the page before its first write. It is what a fork of
 * the guest has its memory from, for as long as it is not {@link close}d.
 */
export class FrozenMemory implements ChunkSource {
  /** As they were, ascending by address. */
  readonly memslots: readonly Required<MemslotDesc>[];
  /** Numbers of the chunks of 64 KiB that may not be all zeros, ascending. */
  readonly chunks: readonly number[];
  readonly #slots: Memslots;
  #frozen: readonly FrozenSlot[];

  /** @throws KvmError EBUSY for memory that is not the machine's own, with nothing changed */
  constructor(slots: Memslots) {
    if (slots.all.some(({ own }) => !own)) throw new KvmError("EBUSY", "guest_memfds cannot be frozen");
    this.#slots = slots;
    this.memslots = slots.all.map((slot) => slot.describe());
    this.chunks = chunksOf(slots);
    this.#frozen = slots.all.map((slot) => {
      const frozen = new FrozenSlot(slot, slots.arena.u8);
      slot.tell(frozen);
      return frozen;
    });
  }

  /** What the frozen memory itself waits for has to come first. @throws KvmError EBADF once it is closed */
  async fetch(chunk: number): Promise<Uint8Array> {
    this.#refuseClosed();
    await this.#slots.residency?.fetch(chunk);
    return this.#read(chunk);
  }

  /** @throws KvmError EBADF once it is closed */
  fetchNow(chunk: number): Uint8Array | null {
    this.#refuseClosed();
    const { residency } = this.#slots;
    const isHere = residency === null || residency.bringOrThrow(chunk * CHUNK_PAGES, CHUNK_PAGES, false);
    return isHere ? this.#read(chunk) : null;
  }

  /** Its machine no longer pays for it, and nothing can be fetched any more. */
  close(): void {
    for (const slot of this.#frozen) slot.unfreeze();
    this.#frozen = [];
  }

  #read(chunk: number): Uint8Array {
    const bytes = new Uint8Array(CHUNK_PAGES * Page.Size);
    const first = chunk * CHUNK_PAGES;
    for (const slot of this.#frozen) {
      const end = Math.min(first + CHUNK_PAGES, slot.gfn + slot.pages);
      for (let gfn = Math.max(first, slot.gfn); gfn < end; gfn++) {
        const page = slot.read(gfn - slot.gfn);
        if (page !== null) bytes.set(page, (gfn - first) * Page.Size);
      }
    }
    return bytes;
  }

  #refuseClosed(): void {
    if (this.#frozen.length === 0) throw new KvmError("EBADF", "the frozen memory was closed");
  }
}

/** Chunks of which anything was touched, or has not arrived. */
function chunksOf({ all, residency }: Memslots): readonly number[] {
  const chunks = new Set<number>(residency?.absent() ?? []);
  for (const { gfn, pages, pfns } of all)
    for (let page = 0; page < pages; page++) if (pfns[page] !== 0) chunks.add(Math.floor((gfn + page) / CHUNK_PAGES));
  return [...chunks].sort((a, b) => a - b);
}

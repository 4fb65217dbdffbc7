import { ArenaError, type FrameArena, type Pfn } from "../arena.js";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";

/** A page of 4 KiB of the host and who refers to it. Its frame goes back to the arena with the last reference. */
export class Folio {
  /** Whether the content means something; until then it is undefined, and zeroed before anybody may see it. */
  uptodate = false;
  /** The content is zero as long as nobody has written what is not {@link uptodate}: frames come zeroed, so that memory which is never used is never touched. */
  zeroed = true;
  /** The memory is broken: nobody may touch it. */
  hwpoison = false;
  /** Its pool has no other page in its place when it goes. */
  retired = false;
  #refs = 1;

  constructor(
    readonly pool: FolioPool,
    readonly pfn: Pfn,
  ) {}

  /** References: one of the cache it is in, one of each user mapping, one of each pin. */
  get refs(): number {
    return this.#refs;
  }

  get(): this {
    this.#refs++;
    return this;
  }

  put(): void {
    if (--this.#refs === 0) this.pool._free(this);
  }

  /** The 4096 bytes. */
  get bytes(): Uint8Array {
    return this.pool.arena.u8.subarray(this.pfn * Page.Size, (this.pfn + 1) * Page.Size);
  }

  /** Makes the content mean something. */
  clear(): void {
    if (this.uptodate) return;
    if (!this.zeroed) this.bytes.fill(0);
    this.uptodate = true;
  }
}

/**
 * The pages one file or mapping can have at a time, reserved when it is made, so that a fault does not run out of memory. Pages that were
 * taken out of the file and are still pinned count.
 */
export class FolioPool {
  #live = 0;
  #closed = false;
  #pages: number;

  /** @throws KvmError ENOMEM if the arena does not have `pages` frames */
  constructor(
    readonly arena: FrameArena,
    pages: number,
  ) {
    this.#pages = pages;
    try {
      arena.reserve(pages);
    } catch (error) {
      if (!(error instanceof ArenaError)) throw error;
      throw new KvmError("ENOMEM", error.message);
    }
  }

  /** A new page with one reference, or null: pins keep as many pages alive as there can be. */
  take(): Folio | null {
    if (this.#live === this.#pages) return null;
    this.#live++;
    return new Folio(this, this.arena.take());
  }

  /** There are `untouched` pages less, which nobody has had, and those of `folios` less when nobody has them any more. */
  retire(untouched: number, folios: Iterable<Folio>): void {
    for (const folio of folios) folio.retired = true;
    this.#drop(untouched);
  }

  /** No page is taken any more; the reservation ends, for pinned pages with their last pin. */
  close(): void {
    this.#closed = true;
    this.#drop(this.#pages - this.#live);
  }

  #drop(pages: number): void {
    this.#pages -= pages;
    this.arena.unreserve(pages);
  }

  /** @internal */
  _free({ pfn, retired }: Folio): void {
    this.arena.give(pfn);
    this.#live--;
    if (this.#closed || retired) this.#drop(1);
  }
}

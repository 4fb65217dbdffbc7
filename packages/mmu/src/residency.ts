import { Page } from "./bits.js";
import { Listeners } from "./listeners.js";
import type { Gfn } from "./units.js";

/** Pages that arrive together: 64 KiB. */
export const CHUNK_PAGES = 16;
const CHUNK_BYTES = CHUNK_PAGES * Page.Size;

/** Where memory comes from that is not here yet. */
export interface ChunkSource {
  /**
   * The bytes of a chunk, 65536: those of guest-physical addresses from 65536 times its number on. It is asked once, and again after it failed. What of them is outside
   * of all memslots has no meaning.
   */
  fetch(chunk: number): Promise<Uint8Array>;
  /**
   * The same at once, for a source that need not wait: whoever touches the chunk goes on as if it had been there. Null: not just now, {@link fetch} is asked.
   * What it throws is told to who waits for the chunk, as what `fetch` rejects with is.
   */
  fetchNow?(chunk: number): Uint8Array | null;
}

/** The host asked for memory that is not here, and did not wait for it: see {@link Residency.ensure}. */
export class NotResidentError extends Error {
  override readonly name = "NotResidentError";
  readonly code = "not-resident";

  constructor(readonly gfn: Gfn) {
    super(`guest frame 0x${gfn.toString(16)} has not arrived yet; who needs it has to wait for it first`);
  }
}

/** Puts a page that has arrived where it belongs; nothing if no memory is there any more. */
export type StorePage = (gfn: Gfn, bytes: Uint8Array) => void;

/**
 * Which guest memory is here. Chunks that are not have no entry in any page table, so that nothing is paid for the others: who touches one finds out
 * where a page is mapped for the first time, and waits until it has been fetched. What has arrived never goes again.
 */
export class Residency {
  /** A bit for each chunk that is not here. */
  readonly #absent: Uint32Array;
  readonly #source: ChunkSource;
  readonly #store: StorePage;
  readonly #pending = new Map<number, Promise<void>>();
  readonly #arrived = new Listeners<[gfn: Gfn, pages: number]>();
  readonly #demanded = new Set<number>();
  /** Why chunks could not be had at once, until someone has waited for them. */
  readonly #failed = new Map<number, unknown>();
  #left = 0;
  #atOnce = 0;
  /** Chunks that were not here at first. */
  readonly total: number;

  /** @param chunks numbers of those that are not here, each at most once @throws RangeError for what is none, with nothing changed */
  constructor(source: ChunkSource, chunks: ArrayLike<number>, store: StorePage) {
    let last = -1;
    for (let k = 0; k < chunks.length; k++) last = Math.max(last, checked(chunks[k] as number));
    this.#absent = new Uint32Array(Math.ceil((last + 1) / 32));
    this.#source = source;
    this.#store = store;
    for (let k = 0; k < chunks.length; k++) {
      const chunk = chunks[k] as number;
      if (this.#isAbsent(chunk)) throw new RangeError(`chunk ${chunk} is named twice`);
      this.#absent[chunk >>> 5] = (this.#absent[chunk >>> 5] as number) | (1 << (chunk & 31));
      this.#left++;
    }
    this.total = this.#left;
  }

  /** Chunks that are not here. */
  get left(): number {
    return this.#left;
  }

  /** Chunks that someone needed, in that order: the working set, for who fetches it first the next time. */
  get demanded(): readonly number[] {
    return [...this.#demanded];
  }

  /** How many of {@link demanded} nobody had to wait for: the source had them. */
  get atOnce(): number {
    return this.#atOnce;
  }

  /** Whether a page is here, or no memory that could come. */
  has(gfn: Gfn): boolean {
    return !this.#isAbsent(Math.floor(gfn / CHUNK_PAGES));
  }

  /** Whether all pages `[gfn, gfn + pages)` are. */
  hasAll(gfn: Gfn, pages: number): boolean {
    return this.firstAbsent(gfn, pages) < 0;
  }

  /** Waits until all pages `[gfn, gfn + pages)` are here. What the source throws, with the rest as it was: whoever asks again makes it try again. */
  async ensure(gfn: Gfn, pages: number): Promise<void> {
    const [first, end] = [Math.floor(gfn / CHUNK_PAGES), Math.ceil((gfn + pages) / CHUNK_PAGES)];
    const all: Promise<void>[] = [];
    for (let chunk = first; chunk < end && this.#left > 0; chunk++) {
      if (!this.#isAbsent(chunk)) continue;
      if (!this.#pending.has(chunk)) this.#demanded.add(chunk);
      all.push(this.#failed.has(chunk) ? this.#refusal(chunk) : this.fetch(chunk));
    }
    await Promise.all(all);
  }

  /** Brings pages `[gfn, gfn + pages)` here if their source can do so at once. False: not all of them, and {@link ensure} waits for them, or says why they cannot be had. */
  bring(gfn: Gfn, pages: number): boolean {
    try {
      return this.bringOrThrow(gfn, pages);
    } catch {
      // It is kept for ensure.
      return false;
    }
  }

  /** As {@link bring}, for who has no way to wait. What the source throws. @param counts they are {@link demanded} */
  bringOrThrow(gfn: Gfn, pages: number, counts = true): boolean {
    let all = true;
    const end = Math.ceil((gfn + pages) / CHUNK_PAGES);
    for (let chunk = Math.floor(gfn / CHUNK_PAGES); chunk < end && this.#left > 0; chunk++)
      if (this.#isAbsent(chunk) && !this.#bring(chunk, counts)) all = false;
    return all;
  }

  /** Fetches one chunk, without counting it as wanted by the guest. Nothing to do if it is here. */
  fetch(chunk: number): Promise<void> {
    if (!this.#isAbsent(chunk)) return Promise.resolve();
    let pending = this.#pending.get(chunk);
    if (pending === undefined) {
      pending = this.#fetch(chunk).finally(() => this.#pending.delete(chunk));
      this.#pending.set(chunk, pending);
    }
    return pending;
  }

  /** The chunks that are not here, ascending. */
  *absent(): Iterable<number> {
    for (let chunk = 0; chunk < 32 * this.#absent.length; chunk++) if (this.#isAbsent(chunk)) yield chunk;
  }

  /** Calls `callback` when pages `[gfn, gfn + pages)` have arrived. Returns the function that ends it. */
  onArrival(callback: (gfn: Gfn, pages: number) => void): () => void {
    return this.#arrived.add(callback);
  }

  #bring(chunk: number, counts: boolean): boolean {
    let bytes: Uint8Array | null;
    try {
      bytes = this.#source.fetchNow?.(chunk) ?? null;
      if (bytes !== null) this.#put(chunk, bytes);
    } catch (error) {
      this.#failed.set(chunk, error);
      throw error;
    }
    if (bytes === null) return false;
    this.#failed.delete(chunk);
    if (counts) {
      this.#demanded.add(chunk);
      this.#atOnce++;
    }
    this.#arrived.emit(chunk * CHUNK_PAGES, CHUNK_PAGES);
    return true;
  }

  /** Why a chunk could not be had at once. Told once: who asks again makes the source try again. */
  async #refusal(chunk: number): Promise<never> {
    const error = this.#failed.get(chunk);
    this.#failed.delete(chunk);
    throw error;
  }

  async #fetch(chunk: number): Promise<void> {
    const bytes = await this.#source.fetch(chunk);
    // It may have been had at once since, and the guest have written into it.
    if (!this.#isAbsent(chunk)) return;
    this.#put(chunk, bytes);
    this.#arrived.emit(chunk * CHUNK_PAGES, CHUNK_PAGES);
  }

  #put(chunk: number, bytes: Uint8Array): void {
    if (bytes.length !== CHUNK_BYTES)
      throw new RangeError(`chunk ${chunk} has come with ${bytes.length} bytes; it has ${CHUNK_BYTES}`);
    const first = chunk * CHUNK_PAGES;
    for (let page = 0; page < CHUNK_PAGES; page++)
      this.#store(first + page, bytes.subarray(page * Page.Size, (page + 1) * Page.Size));
    this.#absent[chunk >>> 5] = (this.#absent[chunk >>> 5] as number) & ~(1 << (chunk & 31));
    this.#left--;
  }

  /** The first page of `[gfn, gfn + pages)` that is not here, -1 if all are. */
  firstAbsent(gfn: Gfn, pages: number): Gfn {
    if (this.#left === 0) return -1;
    const end = Math.ceil((gfn + pages) / CHUNK_PAGES);
    for (let chunk = Math.floor(gfn / CHUNK_PAGES); chunk < end; chunk++)
      if (this.#isAbsent(chunk)) return Math.max(gfn, chunk * CHUNK_PAGES);
    return -1;
  }

  #isAbsent(chunk: number): boolean {
    return (((this.#absent[Math.floor(chunk / 32)] ?? 0) >>> (chunk & 31)) & 1) !== 0;
  }
}

/** Chunks are below this: 2^32 pages of 4 KiB. */
const END = 2 ** 28;

function checked(chunk: number): number {
  if (Number.isInteger(chunk) && chunk >= 0 && chunk < END) return chunk;
  throw new RangeError(`chunk ${chunk}: it can be 0 to below 2^28`);
}

import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";
import { viewOf } from "./bits.js";

/** Bytes of tables that are kept. */
const CACHE_BYTES = 16 * 2 ** 20;

/** A table of one cluster, as it is in the store. */
export interface Table {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** L2 tables and refcount blocks as they were read or written last, 16 MiB of them. Writes go through: what is here is in the store. */
export class TableCache {
  readonly #store: ByteStore;
  readonly #clusterSize: number;
  /** In the order of use, the latest last. */
  readonly #tables = new Map<number, Promise<Table>>();
  readonly #most: number;

  constructor(store: ByteStore, clusterSize: number) {
    this.#store = store;
    this.#clusterSize = clusterSize;
    this.#most = CACHE_BYTES / clusterSize;
  }

  /** The table at `offset`; `what` is for the message. @throws {DiskError} if it cannot be there, and what the store throws */
  get(offset: number, what: string): Promise<Table> {
    const known = this.#tables.get(offset);
    const table = known ?? this.#load(offset, what);
    this.#tables.delete(offset);
    this.#keep(offset, table);
    if (known === undefined) table.catch(() => this.#tables.delete(offset));
    return table;
  }

  /** A new table with these bytes, which are the cache's from now on. */
  async create(offset: number, bytes: Uint8Array): Promise<Table> {
    await this.#store.write(offset, bytes);
    const table = { offset, bytes, view: viewOf(bytes) };
    this.#keep(offset, Promise.resolve(table));
    return table;
  }

  /** Replaces part of a table. If that fails nobody knows what is in the store, and it is read again. */
  async write(table: Table, at: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.#store.write(table.offset + at, bytes);
      table.bytes.set(bytes, at);
      // It may have been dropped and read again since the caller got it.
      (await this.#tables.get(table.offset))?.bytes.set(bytes, at);
    } catch (error) {
      this.#tables.delete(table.offset);
      throw error;
    }
  }

  #keep(offset: number, table: Promise<Table>): void {
    this.#tables.set(offset, table);
    for (const oldest of this.#tables.keys()) {
      if (this.#tables.size <= this.#most) break;
      this.#tables.delete(oldest);
    }
  }

  async #load(offset: number, what: string): Promise<Table> {
    if (offset % this.#clusterSize !== 0 || !Number.isFinite(offset))
      throw new DiskError("corrupt", `the qcow2 image is damaged: ${what} is at no cluster`);
    const bytes = new Uint8Array(this.#clusterSize);
    const got = await this.#store.read(offset, bytes);
    if (got === 0) throw new DiskError("corrupt", `the qcow2 image is damaged: ${what} lies behind its end`);
    return { offset, bytes, view: viewOf(bytes) };
  }
}

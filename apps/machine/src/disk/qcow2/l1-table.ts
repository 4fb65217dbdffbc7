import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";
import { u64Bytes, viewOf } from "./bits.js";
import type { Qcow2Header } from "./header.js";
import { COPIED } from "./mapping.js";
import type { Refcounts } from "./refcounts.js";
import type { Table, TableCache } from "./table-cache.js";

const WHAT = "an L2 table";

/** The active L1 table of an image, and the L2 tables behind it. Changes must not overlap. */
export class L1Table {
  readonly #store: ByteStore;
  readonly #cache: TableCache;
  readonly #clusterSize: number;
  readonly #offset: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  private constructor(store: ByteStore, cache: TableCache, header: Qcow2Header, bytes: Uint8Array) {
    this.#store = store;
    this.#cache = cache;
    this.#clusterSize = header.clusterSize;
    this.#offset = header.l1Offset;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** @throws {DiskError} if the table is not there */
  static async open(store: ByteStore, cache: TableCache, header: Qcow2Header): Promise<L1Table> {
    const bytes = new Uint8Array(8 * header.l1Size);
    if ((await store.read(header.l1Offset, bytes)) < bytes.length)
      throw new DiskError("corrupt", "the qcow2 image is damaged: its L1 table lies behind its end");
    return new L1Table(store, cache, header, bytes);
  }

  /** L2 table number `index`, null if there is none. */
  async get(index: number): Promise<Table | null> {
    const { offset } = this.#entry(index);
    return offset === 0 ? null : this.#cache.get(offset, WHAT);
  }

  /** L2 table number `index` to change: a new one where there is none, a copy where a snapshot uses it too. */
  async own(index: number, refcounts: Refcounts): Promise<Table> {
    const { offset, copied } = this.#entry(index);
    if (offset !== 0 && copied) return this.#cache.get(offset, WHAT);
    const content =
      offset === 0 ? new Uint8Array(this.#clusterSize) : (await this.#cache.get(offset, WHAT)).bytes.slice();
    const { first } = await refcounts.allocate(1);
    const table = await this.#cache.create(first * this.#clusterSize, content);
    // What was in the old table must not be lost with the host: the copy is durable before it counts.
    if (offset !== 0) await this.#store.flush();
    const entry = u64Bytes(table.offset, COPIED);
    await this.#store.write(this.#offset + 8 * index, entry);
    this.#bytes.set(entry, 8 * index);
    if (offset !== 0) await refcounts.free(offset / this.#clusterSize);
    return table;
  }

  #entry(index: number): { readonly offset: number; readonly copied: boolean } {
    const [high, low] = [this.#view.getUint32(8 * index), this.#view.getUint32(8 * index + 4)];
    const offset = (high & 0x00ff_ffff) * 2 ** 32 + low;
    if ((high & 0x7f00_0000) !== 0 || offset % this.#clusterSize !== 0 || offset >= 2 ** 53)
      throw new DiskError("corrupt", `the qcow2 image is damaged: L1 entry ${index} names no cluster`);
    return { offset, copied: (high & COPIED) !== 0 };
  }
}

import { turn } from "../../turn.js";
import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";
import { u64, u64Bytes, viewOf } from "./bits.js";
import { HEADER_REFCOUNT_TABLE, MAX_REFCOUNT_TABLE_BYTES, type Qcow2Header } from "./header.js";
import { RefcountBits } from "./refcount-bits.js";
import type { Table, TableCache } from "./table-cache.js";

/** Bytes that are reserved at a time: at first, and when much is written. */
const FIRST_RESERVE = 2 ** 20;
const MOST_RESERVE = 64 * 2 ** 20;
/** Clusters that may wait to be freed. */
const MOST_FREED = 4096;
/** Refcounts that are looked at between two turns of the event loop, and in all: what lies behind the end of a sound image is free. */
const SCAN = 2 ** 17;
const MOST_SCANNED = 2 ** 25;

/** A row of clusters nobody uses: index of the first, and how many. */
export interface Run {
  readonly first: number;
  readonly count: number;
}

/**
 * Who uses which cluster of an image. Clusters are reserved many at a time, behind the end of the image: their refcounts are 1 and durable before any of
 * them is handed out, and none is counted down before what used it has durably stopped to. So whatever ends this process or its host, no cluster
 * that is used has the refcount 0; those that were reserved and not used, or no longer used and not yet freed, are leaks. Closing gives them back.
 *
 * New clusters lie behind the end and are zeros. Those freed before are not used again. Calls must not overlap.
 */
export class Refcounts {
  readonly #store: ByteStore;
  readonly #cache: TableCache;
  readonly #clusterSize: number;
  readonly #counts: RefcountBits;
  readonly #perBlock: number;
  #tableOffset: number;
  #table: Uint8Array;
  /** Where to look for free clusters, index. */
  #hint: number;
  #reserved: Run = { first: 0, count: 0 };
  #reserve: number;
  readonly #mostReserve: number;
  /** Clusters that are no longer used since the last flush. */
  #freed: number[] = [];

  private constructor(store: ByteStore, cache: TableCache, header: Qcow2Header, table: Uint8Array, reserve: number) {
    this.#store = store;
    this.#cache = cache;
    this.#clusterSize = header.clusterSize;
    this.#counts = new RefcountBits(header.refcountOrder);
    this.#perBlock = this.#counts.perBlock(header.clusterSize);
    this.#tableOffset = header.refcountTableOffset;
    this.#table = table;
    this.#hint = Math.ceil(store.size / header.clusterSize);
    this.#mostReserve = Math.max(8, Math.ceil(reserve / header.clusterSize));
    this.#reserve = Math.min(this.#mostReserve, Math.max(8, Math.ceil(FIRST_RESERVE / header.clusterSize)));
  }

  /**
   * @param reserve bytes that are reserved at a time, at most
   * @throws {DiskError} if the table is not there
   */
  static async open(
    store: ByteStore,
    cache: TableCache,
    header: Qcow2Header,
    reserve = MOST_RESERVE,
  ): Promise<Refcounts> {
    const table = new Uint8Array(header.refcountTableClusters * header.clusterSize);
    if ((await store.read(header.refcountTableOffset, table)) === 0)
      throw damaged("its refcount table lies behind its end");
    return new Refcounts(store, cache, header, table, reserve);
  }

  /** Where the refcount table is: offset and bytes. */
  get table(): { readonly offset: number; readonly bytes: number } {
    return { offset: this.#tableOffset, bytes: this.#table.length };
  }

  /** Whether clusters wait for a flush to be freed. */
  get freeing(): boolean {
    return this.#freed.length > 0;
  }

  /** Takes up to `most` clusters in a row, at least one. @throws {DiskError} if the refcount table can grow no more */
  async allocate(most: number): Promise<Run> {
    if (this.#reserved.count === 0) this.#reserved = await this.#reserveMore();
    const { first, count } = this.#reserved;
    const taken = Math.min(most, count);
    this.#reserved = { first: first + taken, count: count - taken };
    return { first, count: taken };
  }

  /** These clusters are used once less. It counts once the store has been flushed. */
  async free(first: number, count = 1): Promise<void> {
    for (let k = 0; k < count; k++) this.#freed.push(first + k);
    if (this.#freed.length < MOST_FREED) return;
    await this.#store.flush();
    await this.settle();
  }

  /** The store has been flushed: counts down what was freed before. */
  async settle(): Promise<void> {
    for (const cluster of this.#freed.splice(0)) {
      const block = await this.#block(cluster);
      const count = block === null ? 0 : this.#counts.get(block.view, cluster % this.#perBlock);
      if (block !== null && count > 0 && Number.isFinite(count)) await this.#set(block, cluster, 1, count - 1);
    }
  }

  /** Gives back what was reserved and not used, and cuts it off. Nothing must be allocated afterwards. */
  async close(): Promise<void> {
    const { first, count } = this.#reserved;
    this.#reserved = { first: 0, count: 0 };
    const block = count > 0 ? await this.#block(first) : null;
    if (block === null) return;
    await this.#set(block, first, count, 0);
    await this.#store.flush();
    if (this.#store.size === (first + count) * this.#clusterSize) await this.#store.truncate(first * this.#clusterSize);
  }

  async #reserveMore(): Promise<Run> {
    const { run, block } = await this.#findFree();
    await this.#set(block, run.first, run.count, 1);
    // Nothing may point behind the end of the image, not even after the end of the host.
    const end = (run.first + run.count) * this.#clusterSize;
    if (this.#store.size < end) await this.#store.truncate(end);
    await this.#store.flush();
    this.#hint = run.first + run.count;
    this.#reserve = Math.min(2 * this.#reserve, this.#mostReserve);
    return run;
  }

  /** The next free clusters from the hint on, all counted by the same block. */
  async #findFree(): Promise<{ readonly run: Run; readonly block: Table }> {
    for (let scanned = 0; ; ) {
      const block = await this.#block(this.#hint);
      if (block === null) {
        await this.#addBlock();
        continue;
      }
      for (let left = this.#perBlock - (this.#hint % this.#perBlock); left > 0; left--) {
        if (this.#counts.get(block.view, this.#hint % this.#perBlock) === 0)
          return { block, run: this.#freeFrom(block, Math.min(left, this.#reserve)) };
        this.#hint++;
        if (++scanned % SCAN === 0) await turn();
        if (scanned === MOST_SCANNED) throw damaged("it has no free cluster behind its end");
      }
    }
  }

  #freeFrom({ view }: Table, most: number): Run {
    let count = 1;
    while (count < most && this.#counts.get(view, (this.#hint + count) % this.#perBlock) === 0) count++;
    return { first: this.#hint, count };
  }

  /** Makes the cluster at the hint, which nothing counts, the block that counts it and its neighbours. */
  async #addBlock(): Promise<void> {
    const cluster = this.#hint;
    const at = 8 * Math.floor(cluster / this.#perBlock);
    if (at + 8 > this.#table.length) {
      await this.#growTable();
      return;
    }
    await this.#createBlock(cluster, Math.floor(cluster / this.#perBlock), { first: cluster, count: 1 });
    await this.#store.flush();
    const entry = u64Bytes(cluster * this.#clusterSize);
    await this.#store.write(this.#tableOffset + at, entry);
    this.#table.set(entry, at);
    await this.#store.flush();
    this.#hint++;
  }

  /** Writes block number `index` into `cluster`, counting those of `used` that are its. */
  async #createBlock(cluster: number, index: number, used: Run): Promise<void> {
    const bytes = new Uint8Array(this.#clusterSize);
    const from = Math.max(used.first, index * this.#perBlock);
    const to = Math.min(used.first + used.count, (index + 1) * this.#perBlock);
    for (let k = from; k < to; k++) this.#counts.set(bytes, k % this.#perBlock, 1);
    await this.#cache.create(cluster * this.#clusterSize, bytes);
  }

  /** Puts a larger table, and blocks that count it and themselves, at the hint. The header changes last, in one piece. */
  async #growTable(): Promise<void> {
    const [first, blockOf] = [this.#hint, (cluster: number): number => Math.floor(cluster / this.#perBlock)];
    let [tables, blocks] = [1, 1];
    for (let stable = false; !stable; ) {
      const entries = Math.ceil(1.5 * (blockOf(first + tables + blocks) + 1));
      const next = [
        Math.ceil((8 * entries) / this.#clusterSize),
        blockOf(first + tables + blocks) - blockOf(first) + 1,
      ] as const;
      stable = next[0] <= tables && next[1] <= blocks;
      if (!stable) [tables, blocks] = next;
    }
    if (tables * this.#clusterSize > MAX_REFCOUNT_TABLE_BYTES)
      throw new DiskError("refused", "the qcow2 image is full: its refcount table can grow no more");
    const used = { first, count: tables + blocks };
    const table = new Uint8Array(tables * this.#clusterSize);
    table.set(this.#table);
    for (let k = 0; k < blocks; k++) {
      const cluster = first + tables + k;
      await this.#createBlock(cluster, blockOf(first) + k, used);
      table.set(u64Bytes(cluster * this.#clusterSize), 8 * (blockOf(first) + k));
    }
    await this.#store.write(first * this.#clusterSize, table);
    await this.#store.flush();
    const field = new Uint8Array(12);
    field.set(u64Bytes(first * this.#clusterSize));
    viewOf(field).setUint32(8, tables);
    await this.#store.write(HEADER_REFCOUNT_TABLE, field);
    await this.#store.flush();
    const [old, oldClusters] = [this.#tableOffset / this.#clusterSize, this.#table.length / this.#clusterSize];
    this.#table = table;
    this.#tableOffset = first * this.#clusterSize;
    this.#hint = first + tables + blocks;
    await this.free(old, oldClusters);
  }

  /** The block that counts `cluster`, null if there is none. */
  async #block(cluster: number): Promise<Table | null> {
    const at = 8 * Math.floor(cluster / this.#perBlock);
    const offset = at + 8 <= this.#table.length ? u64(viewOf(this.#table), at) : 0;
    return offset === 0 ? null : this.#cache.get(offset, "a refcount block");
  }

  /** Counts `count` clusters, all of one block. */
  async #set(block: Table, first: number, count: number, value: number): Promise<void> {
    const index = first % this.#perBlock;
    const [from, to] = this.#counts.span(index, count);
    const bytes = block.bytes.slice(from, to);
    const base = (from * 8) / this.#counts.bits;
    for (let k = 0; k < count; k++) this.#counts.set(bytes, index - base + k, value);
    await this.#cache.write(block, from, bytes);
  }
}

const damaged = (what: string): DiskError => new DiskError("corrupt", `the qcow2 image is damaged: ${what}`);

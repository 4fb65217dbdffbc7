import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";
import { u64Bytes } from "./bits.js";
import type { Extent } from "./extent.js";
import type { Qcow2Header } from "./header.js";
import type { L1Table } from "./l1-table.js";
import { COPIED, type Mapping } from "./mapping.js";
import type { Refcounts } from "./refcounts.js";
import type { Table, TableCache } from "./table-cache.js";

/** Clusters of the disk that are written in a new place, which no table names yet. */
export interface Placement {
  readonly table: Table;
  /** Index of the first cluster in the image. */
  readonly first: number;
  /** The place was kept for it, and is not given up. */
  readonly kept: boolean;
  readonly extents: readonly Extent[];
  /** The disk had something else there, or the place had: it must be durable before it counts. */
  readonly old: boolean;
}

/** A write that is in the store and does not count yet. */
export interface Prepared {
  readonly placements: readonly Placement[];
}

export interface Qcow2WriterDesc {
  readonly store: ByteStore;
  readonly header: Qcow2Header;
  readonly cache: TableCache;
  readonly l1: L1Table;
  readonly refcounts: Refcounts;
  /** The whole of a cluster of the disk as it is now, zeros behind the disk's end. */
  readonly readCluster: (cluster: number) => Promise<Uint8Array>;
  /** Whether the backing file has something where a cluster of the disk is. */
  readonly hasBelow: (cluster: number) => boolean;
}

/**
 * Writes into a qcow2 image. What is written is in the store before the L2 table says so, and the table says so before the write is done. Where the disk had
 * something before it is durable as well before the table says so, so that the end of the host leaves what was there or what was written.
 */
export class Qcow2Writer {
  readonly #desc: Qcow2WriterDesc;

  constructor(desc: Qcow2WriterDesc) {
    this.#desc = desc;
  }

  /** Whether a flush has clusters to free, and so has to be alone. */
  get freeing(): boolean {
    return this.#desc.refcounts.freeing;
  }

  /** Writes if that changes no table; false if it would, and nothing was written. May overlap with others of its kind. */
  async writeInPlace(extents: readonly Extent[]): Promise<boolean> {
    if (!extents.every(({ mapping }) => mapping.kind === "data" && mapping.copied)) return false;
    await Promise.all(this.#inPlace(extents));
    return true;
  }

  /**
   * Writes, in the place they have or in new ones; those count from `commit` on. Alone but for other writes that are prepared and not yet committed,
   * none of which touches the same clusters.
   */
  async prepare(extents: readonly Extent[]): Promise<Prepared> {
    const perTable = this.#desc.header.clusterSize / 8;
    const placements: Placement[] = [];
    try {
      for (let from = 0; from < extents.length; ) {
        const kind = (k: number): number =>
          Math.floor(clusterAt(extents, k) / perTable) * 2 + (isInPlace(extents[k]) ? 1 : 0);
        let to = from + 1;
        while (to < extents.length && kind(to) === kind(from)) to++;
        const part = extents.slice(from, to);
        const index = Math.floor(clusterAt(extents, from) / perTable);
        if (isInPlace(part[0])) await Promise.all(this.#inPlace(part));
        else
          for (let left = part; left.length > 0; left = part.slice(placedOf(part, placements)))
            placements.push(await this.#place(index, left));
        from = to;
      }
    } catch (error) {
      await this.abandon({ placements });
      throw error;
    }
    return { placements };
  }

  /** Lets the tables say where the disk is now. If some of it was something before, the store has to be flushed first: see {@link Placement.old}. */
  async commit({ placements }: Prepared): Promise<void> {
    const { cache, header } = this.#desc;
    for (const { table, first, kept, extents } of placements) {
      const entries = new Uint8Array(8 * extents.length);
      for (let k = 0; k < extents.length; k++) entries.set(u64Bytes((first + k) * header.clusterSize, COPIED), 8 * k);
      await cache.write(table, 8 * (clusterAt(extents, 0) % (header.clusterSize / 8)), entries);
      if (!kept) for (const { mapping } of extents) await this.#free(mapping);
    }
  }

  /** Gives the places up again: nothing says that the disk is there. */
  async abandon({ placements }: Prepared): Promise<void> {
    for (const { first, kept, extents } of placements)
      if (!kept) await this.#desc.refcounts.free(first, extents.length);
  }

  async flush(): Promise<void> {
    await this.#desc.store.flush();
    await this.#desc.refcounts.settle();
  }

  /** Gives back what was reserved, and makes all durable. */
  async close(): Promise<void> {
    await this.flush();
    await this.#desc.refcounts.close();
    await this.#desc.store.flush();
  }

  #inPlace(extents: readonly Extent[]): Promise<void>[] {
    const { clusterSize } = this.#desc.header;
    const writes: Promise<void>[] = [];
    for (let from = 0; from < extents.length; ) {
      const offset = offsetOf(extents[from]);
      let to = from + 1;
      while (to < extents.length && offsetOf(extents[to]) === offset + (to - from) * clusterSize) to++;
      const run = extents.slice(from, to);
      for (const extent of run) this.#refuseMetadata(offsetOf(extent));
      writes.push(this.#desc.store.write(offset + (run[0]?.within ?? 0), joined(run)));
      from = to;
    }
    return writes;
  }

  /** Gives as many of the first `extents` as possible a place in a row, and fills it. */
  async #place(index: number, extents: readonly Extent[]): Promise<Placement> {
    const { store, header, l1, refcounts } = this.#desc;
    const { clusterSize } = header;
    const table = await l1.own(index, refcounts);
    const kept = keptFor(extents[0]?.mapping);
    if (kept !== null) this.#refuseMetadata(kept);
    const { first, count } =
      kept === null ? await refcounts.allocate(countUnkept(extents)) : { first: kept / clusterSize, count: 1 };
    const placed = extents.slice(0, count);
    try {
      const { at, bytes, old } = await this.#content(placed, kept !== null);
      await store.write(first * clusterSize + at, bytes);
      return { table, first, kept: kept !== null, extents: placed, old };
    } catch (error) {
      if (kept === null) await refcounts.free(first, count);
      throw error;
    }
  }

  /**
   * What is written into the place of `extents`, and where in it. A new cluster is zeros, so that where the disk had zeros only what the guest wrote
   * is; `old` says whether it had something else, or the place has: then the host's end must not show what the place had before.
   */
  async #content(
    extents: readonly Extent[],
    used: boolean,
  ): Promise<{ readonly at: number; readonly bytes: Uint8Array; readonly old: boolean }> {
    const { header, hasBelow, readCluster } = this.#desc;
    const { clusterSize } = header;
    const [first, last] = [extents[0], extents.at(-1)];
    if (first === undefined || last === undefined) return { at: 0, bytes: new Uint8Array(0), old: false };
    const old =
      used ||
      extents.some(({ mapping, cluster }) => isContent(mapping) || (mapping.kind === "none" && hasBelow(cluster)));
    const end = (extents.length - 1) * clusterSize + last.within + last.bytes.length;
    const partial = first.within > 0 || end < extents.length * clusterSize;
    if (!old || !partial) return { at: first.within, bytes: joined(extents), old };
    const whole = new Uint8Array(extents.length * clusterSize);
    for (const { cluster, bytes } of new Set([first, last]))
      if (bytes.length < clusterSize) whole.set(await readCluster(cluster), (cluster - first.cluster) * clusterSize);
    for (const { cluster, within, bytes } of extents)
      whole.set(bytes, (cluster - first.cluster) * clusterSize + within);
    return { at: 0, bytes: whole, old };
  }

  async #free(mapping: Mapping): Promise<void> {
    const { refcounts, header } = this.#desc;
    if (mapping.kind === "data") await refcounts.free(mapping.offset / header.clusterSize);
    if (mapping.kind === "zero" && mapping.offset !== null) await refcounts.free(mapping.offset / header.clusterSize);
    if (mapping.kind !== "compressed") return;
    const first = Math.floor(mapping.offset / header.clusterSize);
    const last = Math.floor((mapping.offset + mapping.length - 1) / header.clusterSize);
    await refcounts.free(first, last - first + 1);
  }

  /** A damaged image may say that the disk lies where its own tables are. */
  #refuseMetadata(offset: number): void {
    const { header, refcounts } = this.#desc;
    const inside = (from: number, bytes: number): boolean =>
      offset + header.clusterSize > from && offset < from + bytes;
    const { table } = refcounts;
    if (inside(0, 1) || inside(header.l1Offset, 8 * header.l1Size) || inside(table.offset, table.bytes))
      throw new DiskError(
        "corrupt",
        `the qcow2 image is damaged: a cluster of the disk lies in its tables, at byte ${offset}`,
      );
  }
}

const clusterAt = (extents: readonly Extent[], k: number): number => extents[k]?.cluster ?? 0;

/** Whether the cluster has, or may have, other bytes than zeros of its own. */
const isContent = ({ kind }: Mapping): boolean => kind === "data" || kind === "compressed";

/** How many of the first extents of `part` have their place. */
function placedOf(part: readonly Extent[], placements: readonly Placement[]): number {
  const last = placements.at(-1)?.extents.at(-1);
  return last === undefined ? 0 : part.indexOf(last) + 1;
}

const isInPlace = (extent: Extent | undefined): boolean => extent?.mapping.kind === "data" && extent.mapping.copied;

const offsetOf = (extent: Extent | undefined): number =>
  extent?.mapping.kind === "data" ? extent.mapping.offset : Number.NaN;

/** The cluster that is kept for one which is all zeros now, if nobody else uses it. */
const keptFor = (mapping: Mapping | undefined): number | null =>
  mapping?.kind === "zero" && mapping.copied ? mapping.offset : null;

/** How many of the first extents need a new place. */
function countUnkept(extents: readonly Extent[]): number {
  const kept = extents.findIndex(({ mapping }) => keptFor(mapping) !== null);
  return kept < 0 ? extents.length : kept;
}

/** The bytes of extents that follow each other: they are parts of one buffer. */
function joined(extents: readonly Extent[]): Uint8Array {
  const [first, last] = [extents[0], extents.at(-1)];
  if (first === undefined || last === undefined) return new Uint8Array(0);
  const from = first.bytes.byteOffset;
  return new Uint8Array(first.bytes.buffer, from, last.bytes.byteOffset + last.bytes.length - from);
}

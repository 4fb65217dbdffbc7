import { type BlockBackend, SECTOR_SIZE } from "@vm/devices";
import { AccessLock } from "../access-lock.js";
import type { ByteStore } from "../byte-store.js";
import type { Disk } from "../disk.js";
import { DiskError } from "../error.js";
import { decompressCluster } from "./decompress.js";
import { type Extent, runsOf } from "./extent.js";
import { HEADER_AUTOCLEAR, type Qcow2Header, readQcow2Header } from "./header.js";
import { L1Table } from "./l1-table.js";
import { type Mapping, readMapping } from "./mapping.js";
import { type Prepared, Qcow2Writer } from "./qcow2-writer.js";
import { Refcounts } from "./refcounts.js";
import { TableCache } from "./table-cache.js";

/** What lies below an image. */
export type Backing = BlockBackend & Partial<Disk>;

export interface Qcow2Options {
  /** Opens the backing file that the header names; its format is null where the header does not say. Default: such an image is refused. */
  readonly openBacking?: (name: string, format: string | null) => Promise<Backing>;
  /** Bytes that are reserved ahead of what is written, at most (default 64 MiB): what is lost when nobody closes the image, and one flush each. */
  readonly reserve?: number;
}

/**
 * A qcow2 image, version 2 or 3 (QEMU `docs/interop/qcow2.txt`): backing files, zlib and zstd clusters, zero clusters, refcounts of any width, internal
 * snapshots (which stay as they are). Refused by name: encryption, external data files, extended L2 entries, incompatible features nobody
 * has heard of; for writing also images that are marked dirty or corrupt. Lazy refcounts are kept exact instead; autoclear bits are cleared with the first write.
 *
 * A write is in the store, with all tables that lead to it, before it is done; a flush makes it durable. Whatever ends this process or its host,
 * the image is consistent but for leaked clusters, and what was flushed is there.
 */
export class Qcow2Disk implements Disk {
  readonly sectors: number;
  readonly readonly: boolean;
  name?: string | undefined;
  readonly version?: () => Promise<string>;
  readonly #store: ByteStore;
  readonly #header: Qcow2Header;
  readonly #l1: L1Table;
  readonly #backing: Backing | null;
  readonly #writer: Qcow2Writer | null;
  readonly #lock = new AccessLock();
  /** The compressed cluster that was unpacked last: a guest reads it piece by piece. */
  #unpacked: { readonly offset: number; readonly bytes: Promise<Uint8Array> } | null = null;
  #touched = false;
  /** Writes that need new places, in the order they came. */
  #queued: QueuedWrite[] = [];
  #draining: Promise<void> | null = null;
  #closed = false;

  private constructor(store: ByteStore, header: Qcow2Header, parts: Parts) {
    this.#store = store;
    this.#header = header;
    this.sectors = header.size / SECTOR_SIZE;
    this.readonly = store.readonly;
    const below = parts.backing === null ? async () => "" : parts.backing.version?.bind(parts.backing);
    if (store.version !== undefined && below !== undefined) this.version = () => this.#version(below);
    this.#l1 = parts.l1;
    this.#backing = parts.backing;
    const { refcounts } = parts;
    this.#writer =
      refcounts === null
        ? null
        : new Qcow2Writer({
            store,
            header,
            l1: parts.l1,
            cache: parts.cache,
            refcounts,
            readCluster: (cluster) => this.#cluster(cluster),
            hasBelow: (cluster) => cluster * header.clusterSize < (parts.backing?.sectors ?? 0) * SECTOR_SIZE,
          });
  }

  /** @throws {DiskError} that says why the image cannot be used; the store is the caller's then */
  static async open(store: ByteStore, { openBacking, reserve }: Qcow2Options = {}): Promise<Qcow2Disk> {
    const header = await readQcow2Header(store);
    if (!store.readonly && (header.dirty || header.corrupt)) {
      const what = header.corrupt ? "corrupt" : "not closed properly";
      throw new DiskError(
        "corrupt",
        `the qcow2 image is marked as ${what}: 'qemu-img check -r all' repairs it; :ro reads it as it is`,
      );
    }
    const cache = new TableCache(store, header.clusterSize);
    const l1 = await L1Table.open(store, cache, header);
    const refcounts = store.readonly ? null : await Refcounts.open(store, cache, header, reserve);
    const backing = header.backing === null ? null : await openBackingOf(header.backing, openBacking);
    return new Qcow2Disk(store, header, { cache, l1, refcounts, backing });
  }

  read(sector: number, dst: Uint8Array): Promise<void> {
    return this.#lock.shared(() => this.#read(sector * SECTOR_SIZE, dst));
  }

  async write(sector: number, src: Uint8Array): Promise<void> {
    const writer = this.#writer;
    if (writer === null) throw new DiskError("refused", "the image is read-only");
    if (!this.#touched) await this.#lock.exclusive(() => this.#touch());
    const at = sector * SECTOR_SIZE;
    const written = await this.#lock.shared(async () => writer.writeInPlace(await this.#extents(at, src)));
    if (written) return;
    await new Promise<void>((resolve, reject) => {
      this.#queued.push({ at, src, resolve, reject });
      this.#draining ??= this.#drain(writer);
    });
  }

  /** Does the writes that need new places, as many at a time as wait and do not touch each other's clusters: what makes them durable does so for all. */
  async #drain(writer: Qcow2Writer): Promise<void> {
    while (this.#queued.length > 0) await this.#lock.exclusive(() => this.#writeTogether(writer, this.#nextWrites()));
    this.#draining = null;
  }

  #nextWrites(): QueuedWrite[] {
    const { clusterSize } = this.#header;
    const taken = new Set<number>();
    const writes: QueuedWrite[] = [];
    for (const write of this.#queued) {
      const first = Math.floor(write.at / clusterSize);
      const clusters = Array.from(
        { length: Math.floor((write.at + write.src.length - 1) / clusterSize) - first + 1 },
        (_, k) => first + k,
      );
      if (writes.length > 0 && clusters.some((cluster) => taken.has(cluster))) break;
      for (const cluster of clusters) taken.add(cluster);
      writes.push(write);
    }
    this.#queued = this.#queued.slice(writes.length);
    return writes;
  }

  async #writeTogether(writer: Qcow2Writer, writes: readonly QueuedWrite[]): Promise<void> {
    const prepared: { readonly write: QueuedWrite; readonly what: Prepared }[] = [];
    for (const write of writes) {
      try {
        prepared.push({ write, what: await writer.prepare(await this.#extents(write.at, write.src)) });
      } catch (error) {
        write.reject(error);
      }
    }
    const flushed = prepared.some(({ what }) => isOld(what))
      ? await this.#store.flush().then(
          () => null,
          (error: unknown) => ({ error }),
        )
      : null;
    for (const { write, what } of prepared) {
      try {
        if (flushed === null || !isOld(what)) await writer.commit(what);
        else {
          await writer.abandon(what);
          throw flushed.error;
        }
        write.resolve();
      } catch (error) {
        write.reject(error);
      }
    }
  }

  async flush(): Promise<void> {
    const writer = this.#writer;
    if (writer === null) return;
    if (writer.freeing) await this.#lock.exclusive(() => writer.flush());
    else await this.#store.flush();
  }

  /** What is reserved is given back first: closing it then changes nothing more. */
  async #version(below: () => Promise<string>): Promise<string> {
    await this.#draining;
    if (this.#touched) await this.#lock.exclusive(async () => this.#writer?.close());
    return `${await this.#store.version?.()} ${await below()}`.trim();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#draining;
    try {
      if (this.#touched) await this.#lock.exclusive(async () => this.#writer?.close());
    } finally {
      await this.#store.close();
      await this.#backing?.close?.();
    }
  }

  /** Before the first change: what only holds while those who know it do the writing is no longer said to hold. */
  async #touch(): Promise<void> {
    if (this.#touched) return;
    if (this.#header.autoclear) await this.#store.write(HEADER_AUTOCLEAR, new Uint8Array(8));
    this.#touched = true;
  }

  async #cluster(cluster: number): Promise<Uint8Array> {
    const { clusterSize, size } = this.#header;
    const bytes = new Uint8Array(clusterSize);
    const at = cluster * clusterSize;
    await this.#read(at, bytes.subarray(0, Math.min(clusterSize, size - at)));
    return bytes;
  }

  async #read(offset: number, dst: Uint8Array): Promise<void> {
    const extents = await this.#extents(offset, dst);
    const reads: Promise<void>[] = [];
    for (const run of runsOf(extents, this.#header.clusterSize)) reads.push(this.#readRun(run, dst));
    await Promise.all(reads);
  }

  /** The pieces of `bytes`, which begin at byte `offset` of the disk, by clusters. */
  async #extents(offset: number, bytes: Uint8Array): Promise<Extent[]> {
    const { clusterSize, clusterBits, version } = this.#header;
    const perTable = clusterSize / 8;
    const extents: Extent[] = [];
    for (let done = 0; done < bytes.length; ) {
      const cluster = Math.floor((offset + done) / clusterSize);
      const within = (offset + done) % clusterSize;
      const table = await this.#l1.get(Math.floor(cluster / perTable));
      const mapping: Mapping =
        table === null ? { kind: "none" } : readMapping(table.view, cluster % perTable, clusterBits, version);
      const length = Math.min(clusterSize - within, bytes.length - done);
      extents.push({ mapping, cluster, within, bytes: bytes.subarray(done, done + length) });
      done += length;
    }
    return extents;
  }

  /** Reads extents that are neighbours in the same place. */
  async #readRun(run: readonly Extent[], whole: Uint8Array): Promise<void> {
    const [first] = run;
    if (first === undefined) return;
    const { mapping } = first;
    const length = run.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const start = first.bytes.byteOffset - whole.byteOffset;
    const dst = whole.subarray(start, start + length);
    if (mapping.kind === "data") {
      const got = await this.#store.read(mapping.offset + first.within, dst);
      dst.fill(0, got);
    } else if (mapping.kind === "zero") dst.fill(0);
    else if (mapping.kind === "compressed")
      dst.set((await this.#unpack(mapping)).subarray(first.within, first.within + length));
    else await this.#readBacking(first.cluster * this.#header.clusterSize + first.within, dst);
  }

  async #readBacking(offset: number, dst: Uint8Array): Promise<void> {
    const sectors = this.#backing === null ? 0 : this.#backing.sectors - offset / SECTOR_SIZE;
    const there = Math.min(dst.length, Math.max(0, sectors) * SECTOR_SIZE);
    dst.fill(0, there);
    if (there > 0) await this.#backing?.read(offset / SECTOR_SIZE, dst.subarray(0, there));
  }

  #unpack({ offset, length }: { readonly offset: number; readonly length: number }): Promise<Uint8Array> {
    if (this.#unpacked?.offset === offset) return this.#unpacked.bytes;
    const { clusterSize, compression } = this.#header;
    const bytes = (async () => {
      const packed = new Uint8Array(length);
      const got = await this.#store.read(offset, packed);
      return decompressCluster(packed.subarray(0, got), clusterSize, compression);
    })();
    const unpacked = { offset, bytes };
    this.#unpacked = unpacked;
    bytes.catch(() => {
      if (this.#unpacked === unpacked) this.#unpacked = null;
    });
    return bytes;
  }
}

interface QueuedWrite {
  /** Byte of the disk. */
  readonly at: number;
  readonly src: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const isOld = ({ placements }: Prepared): boolean => placements.some(({ old }) => old);

interface Parts {
  readonly cache: TableCache;
  readonly l1: L1Table;
  readonly refcounts: Refcounts | null;
  readonly backing: Backing | null;
}

async function openBackingOf(
  { name, format }: NonNullable<Qcow2Header["backing"]>,
  open: Qcow2Options["openBacking"],
): Promise<Backing> {
  if (open === undefined)
    throw new DiskError("unsupported", `it is a qcow2 image over ${JSON.stringify(name)}, which cannot be opened here`);
  return open(name, format);
}

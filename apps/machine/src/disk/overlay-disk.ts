import { type BlockBackend, SECTOR_SIZE } from "@vm/devices";
import type { Disk } from "./disk.js";
import { DiskError } from "./error.js";

/** Sectors of a block: what memory is taken in. */
const BLOCK = 128;
const BLOCK_BYTES = BLOCK * SECTOR_SIZE;
/** Bytes an overlay may take unless it is said. */
export const OVERLAY_LIMIT = 2 ** 30;

/** A block of what was written: which of its sectors, and their bytes. */
interface Block {
  readonly written: Uint8Array;
  readonly bytes: Uint8Array;
}

export interface OverlayDiskOptions {
  /** Bytes of memory, rounded up to blocks of 64 KiB (default 1 GiB). A write that needs more is an I/O error. */
  readonly limit?: number;
}

/** A disk over another that is only read: what is written stays in memory and is gone when the overlay is closed. */
export class OverlayDisk implements Disk {
  readonly sectors: number;
  readonly readonly = false;
  readonly #base: BlockBackend & Partial<Disk>;
  readonly #blocks = new Map<number, Block>();
  readonly #most: number;

  constructor(base: BlockBackend & Partial<Disk>, { limit = OVERLAY_LIMIT }: OverlayDiskOptions = {}) {
    this.sectors = base.sectors;
    this.#base = base;
    this.#most = Math.ceil(limit / BLOCK_BYTES);
  }

  async read(sector: number, dst: Uint8Array): Promise<void> {
    const missing = this.#runs(sector, dst.length / SECTOR_SIZE);
    await Promise.all(missing.map(([from, count]) => this.#base.read(from, slice(dst, from - sector, count))));
    for (let at = 0; at < dst.length / SECTOR_SIZE; at++) {
      const bytes = this.#sector(sector + at);
      if (bytes !== null) dst.set(bytes, at * SECTOR_SIZE);
    }
  }

  write(sector: number, src: Uint8Array): void {
    const count = src.length / SECTOR_SIZE;
    this.#reserve(sector, count);
    for (let at = 0; at < count; at++) {
      const block = this.#blocks.get(Math.floor((sector + at) / BLOCK)) as Block;
      const within = (sector + at) % BLOCK;
      block.written[within] = 1;
      block.bytes.set(slice(src, at, 1), within * SECTOR_SIZE);
    }
  }

  flush(): void {}

  async close(): Promise<void> {
    this.#blocks.clear();
    await this.#base.close?.();
  }

  /** All blocks of a write or none: a request that fails has written nothing. */
  #reserve(sector: number, count: number): void {
    const missing: number[] = [];
    for (let k = Math.floor(sector / BLOCK); k * BLOCK < sector + count; k++) if (!this.#blocks.has(k)) missing.push(k);
    if (this.#blocks.size + missing.length > this.#most)
      throw new DiskError(
        "refused",
        `the overlay is full: what the guest writes stays in ${this.#most * 64} KiB of memory`,
      );
    for (const k of missing)
      this.#blocks.set(k, { written: new Uint8Array(BLOCK), bytes: new Uint8Array(BLOCK_BYTES) });
  }

  #sector(sector: number): Uint8Array | null {
    const block = this.#blocks.get(Math.floor(sector / BLOCK));
    const within = sector % BLOCK;
    return block?.written[within] ? slice(block.bytes, within, 1) : null;
  }

  /** The runs of sectors that were never written: first sector and count. */
  #runs(sector: number, count: number): [number, number][] {
    const runs: [number, number][] = [];
    for (let at = sector; at < sector + count; at++) {
      if (this.#sector(at) !== null) continue;
      const last = runs.at(-1);
      if (last !== undefined && last[0] + last[1] === at) last[1]++;
      else runs.push([at, 1]);
    }
    return runs;
  }
}

const slice = (bytes: Uint8Array, sector: number, count: number): Uint8Array =>
  bytes.subarray(sector * SECTOR_SIZE, (sector + count) * SECTOR_SIZE);

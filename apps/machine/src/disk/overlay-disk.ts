import { type BlockBackend, read, SECTOR_SIZE, StateError } from "@vm/devices";
import type { Disk, OverlayState } from "./disk.js";
import { DiskError } from "./error.js";

/** Sectors of a block: what memory is taken in. */
const BLOCK = 128;
const BLOCK_BYTES = BLOCK * SECTOR_SIZE;
/** Bytes of an overlay that is saved with its machine. */
const SAVED_MOST = 48 * 2 ** 20;
/** Bytes an overlay may take unless it is said. */
export const OVERLAY_LIMIT = 2 ** 30;

/** A block of what was written: which of its sectors, and their bytes. */
interface Block {
  readonly written: Uint8Array;
  readonly bytes: Uint8Array;
}

const some = read.bytes(0, SAVED_MOST);
const readOverlay = read.record<OverlayState>({ blocks: some, written: some, bytes: some });

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
  name?: string | undefined;
  readonly version?: () => Promise<string>;

  constructor(base: BlockBackend & Partial<Disk>, { limit = OVERLAY_LIMIT }: OverlayDiskOptions = {}) {
    this.sectors = base.sectors;
    this.#base = base;
    this.name = base.name;
    if (base.version !== undefined) this.version = base.version.bind(base);
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

  save(): OverlayState {
    const count = this.#blocks.size;
    if (count * BLOCK_BYTES > SAVED_MOST)
      throw new DiskError(
        "unsupported",
        `its overlay has ${count * 64} KiB of what the guest has written, and ${SAVED_MOST / 1024} KiB are saved with a machine`,
      );
    const written = new Uint8Array(count * BLOCK);
    const bytes = new Uint8Array(count * BLOCK_BYTES);
    for (const [k, block] of [...this.#blocks.values()].entries()) {
      written.set(block.written, k * BLOCK);
      bytes.set(block.bytes, k * BLOCK_BYTES);
    }
    return { blocks: new Uint8Array(Uint32Array.from(this.#blocks.keys()).buffer), written, bytes };
  }

  /** @throws {StateError}, {@link DiskError} `format` */
  restore(state: OverlayState): void {
    const { blocks, written, bytes } = readOverlay(state);
    if (blocks.length % 4 !== 0) throw new StateError("blocks", `is ${blocks.length} bytes, expected a multiple of 4`);
    const numbers = new Uint32Array(blocks.buffer);
    const fits = numbers.every((number) => number * BLOCK < this.sectors) && new Set(numbers).size === numbers.length;
    if (!fits || written.length !== numbers.length * BLOCK || bytes.length !== numbers.length * BLOCK_BYTES)
      throw new DiskError("format", "what was saved of its overlay is none of such a disk");
    for (const [k, number] of numbers.entries())
      this.#blocks.set(number, {
        written: written.slice(k * BLOCK, (k + 1) * BLOCK),
        bytes: bytes.slice(k * BLOCK_BYTES, (k + 1) * BLOCK_BYTES),
      });
  }

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

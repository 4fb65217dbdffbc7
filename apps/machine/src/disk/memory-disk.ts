import { SECTOR_SIZE } from "@vm/devices";
import type { Disk } from "./disk.js";
import { DiskError } from "./error.js";

/** A disk in memory, all zeros at first. */
export class MemoryDisk implements Disk {
  readonly sectors: number;
  readonly readonly: boolean;
  readonly #bytes: Uint8Array;

  /** @param content the disk, a multiple of 512 bytes (written in place), or its size. @throws {DiskError} for any other size */
  constructor(content: Uint8Array | number, { readonly = false } = {}) {
    const size = typeof content === "number" ? content : content.length;
    if (!Number.isInteger(size) || size <= 0 || size % SECTOR_SIZE !== 0)
      throw new DiskError("unusable", `a disk of ${size} bytes: expected a multiple of ${SECTOR_SIZE}`);
    this.#bytes = typeof content === "number" ? new Uint8Array(size) : content;
    this.sectors = size / SECTOR_SIZE;
    this.readonly = readonly;
  }

  read(sector: number, dst: Uint8Array): void {
    dst.set(this.#bytes.subarray(sector * SECTOR_SIZE, sector * SECTOR_SIZE + dst.length));
  }

  write(sector: number, src: Uint8Array): void {
    this.#bytes.set(src, sector * SECTOR_SIZE);
  }

  flush(): void {}

  async close(): Promise<void> {}
}

import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { type BlockBackend, SECTOR_SIZE } from "@vm/devices";
import { reason, UsageError } from "./errors.js";

/**
 * A disk image in a file or a block device. Every call works on the file before it returns, so a write that the guest has been told
 * of survives the end of this process, whatever ends it; `flush` makes it survive the end of the host as well.
 */
export class FileDisk implements BlockBackend {
  readonly sectors: number;
  readonly readonly: boolean;
  readonly #fd: number;

  /** @throws {UsageError} if the file cannot be opened, is empty, or is not a multiple of 512 bytes long */
  constructor(path: string, readonly: boolean) {
    this.readonly = readonly;
    try {
      this.#fd = openSync(path, readonly ? constants.O_RDONLY : constants.O_RDWR);
    } catch (error) {
      const hint = readonly || !["EACCES", "EPERM", "EROFS"].includes((error as NodeJS.ErrnoException).code ?? "");
      throw new UsageError(`--disk ${path}: ${reason(error)}${hint ? "" : ` (read-only: --disk ${path}:ro)`}`);
    }
    const size = this.#size();
    if (size === null || size === 0 || size % SECTOR_SIZE !== 0) {
      this.close();
      const what = size === null ? "it is not a file" : `its size of ${size} bytes is not a multiple of ${SECTOR_SIZE}`;
      throw new UsageError(`--disk ${path}: ${size === 0 ? "it is empty" : what}`);
    }
    this.sectors = size / SECTOR_SIZE;
  }

  read(sector: number, dst: Uint8Array): void {
    let done = 0;
    while (done < dst.length) {
      const got = readSync(this.#fd, dst, done, dst.length - done, sector * SECTOR_SIZE + done);
      if (got === 0) throw new RangeError(`the disk image ends before byte ${sector * SECTOR_SIZE + done}`);
      done += got;
    }
  }

  write(sector: number, src: Uint8Array): void {
    let done = 0;
    while (done < src.length) {
      done += writeSync(this.#fd, src, done, src.length - done, sector * SECTOR_SIZE + done);
    }
  }

  flush(): void {
    fsyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Bytes, or null if it has no size. A block device says 0 when asked and is measured by reading its last sectors instead. */
  #size(): number | null {
    const stat = fstatSync(this.#fd);
    if (stat.isFile()) return stat.size;
    return stat.isBlockDevice() ? this.#measure() : null;
  }

  #measure(): number {
    const sector = new Uint8Array(SECTOR_SIZE);
    const has = (n: number): boolean => readSync(this.#fd, sector, 0, SECTOR_SIZE, n * SECTOR_SIZE) === SECTOR_SIZE;
    let low = 0;
    let high = 1;
    while (has(high - 1)) high *= 2;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (has(middle)) low = middle + 1;
      else high = middle;
    }
    return low * SECTOR_SIZE;
  }
}

/** A `--disk` argument: a path, with `:ro` behind it if the guest must not write. */
export function openDisk(argument: string): FileDisk {
  const readonly = argument.endsWith(":ro");
  return new FileDisk(readonly ? argument.slice(0, -3) : argument, readonly);
}

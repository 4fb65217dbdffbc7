import { SECTOR_SIZE } from "@vm/devices";
import type { ByteStore } from "./byte-store.js";
import type { Disk } from "./disk.js";
import { DiskError } from "./error.js";
import { isQcow2 } from "./format.js";

export interface RawDiskOptions {
  /**
   * Nobody said that the image is raw: a write that would make it look like a format this machine reads is refused, lest the guest decide
   * how its image, and which other files with it, are opened the next time.
   */
  readonly guessed?: boolean;
}

/** An image whose bytes are the disk's. A write is in the store before it is done. */
export class RawDisk implements Disk {
  readonly sectors: number;
  readonly readonly: boolean;
  readonly #store: ByteStore;
  readonly #guessed: boolean;
  name?: string | undefined;
  readonly version?: () => Promise<string>;

  /** @throws {DiskError} if the store is empty or not of whole sectors */
  constructor(store: ByteStore, { guessed = false }: RawDiskOptions = {}) {
    const { size } = store;
    if (size === 0) throw new DiskError("unusable", "it is empty");
    if (size % SECTOR_SIZE !== 0)
      throw new DiskError("unusable", `its size of ${size} bytes is not a multiple of ${SECTOR_SIZE}`);
    this.sectors = size / SECTOR_SIZE;
    this.readonly = store.readonly;
    this.#store = store;
    this.#guessed = guessed;
    if (store.version !== undefined) this.version = store.version.bind(store);
  }

  async read(sector: number, dst: Uint8Array): Promise<void> {
    const at = sector * SECTOR_SIZE;
    const got = await this.#store.read(at, dst);
    if (got < dst.length)
      throw new DiskError("unusable", `the image has shrunk: it ends before byte ${at + dst.length}`);
  }

  write(sector: number, src: Uint8Array): Promise<void> {
    if (this.#guessed && sector === 0 && isQcow2(src)) {
      const what = "the guest wrote the header of a qcow2 image into a disk that was not said to be raw";
      return Promise.reject(new DiskError("refused", `${what}: refused; format=raw permits it`));
    }
    return this.#store.write(sector * SECTOR_SIZE, src);
  }

  flush(): Promise<void> {
    return this.#store.flush();
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}

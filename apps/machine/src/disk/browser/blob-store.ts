import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";

/** What is used of a `Blob`; a `File` is one. */
export interface BlobSource {
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** An image in a `Blob`, which is only read, piece by piece: a file that a user chose is never taken into memory as a whole. */
export class BlobStore implements ByteStore {
  readonly readonly = true;
  readonly size: number;
  readonly #blob: BlobSource;

  constructor(blob: BlobSource) {
    this.size = blob.size;
    this.#blob = blob;
  }

  /** Rejects with what the browser says once the file behind the blob has changed or gone. */
  async read(offset: number, dst: Uint8Array): Promise<number> {
    const bytes = new Uint8Array(await this.#blob.slice(offset, offset + dst.length).arrayBuffer());
    dst.set(bytes);
    return bytes.length;
  }

  write(): Promise<void> {
    return Promise.reject(new DiskError("refused", "a blob is only read"));
  }

  truncate(): Promise<void> {
    return this.write();
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}

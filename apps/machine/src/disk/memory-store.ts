import type { ByteStore } from "./byte-store.js";
import { DiskError } from "./error.js";

/** An image in memory, for tests and for pages that got theirs over the network. */
export class MemoryStore implements ByteStore {
  readonly readonly: boolean;
  #bytes: Uint8Array;
  #size: number;
  readonly #limit: number;

  /**
   * @param bytes what is in it; copied when it has to grow, written in place otherwise
   * @param limit bytes it may grow to (default 2^31)
   */
  constructor(bytes: Uint8Array = new Uint8Array(0), { readonly = false, limit = 2 ** 31 } = {}) {
    this.#bytes = bytes;
    this.#size = bytes.length;
    this.readonly = readonly;
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  /** What is in it now; not a copy. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  async read(offset: number, dst: Uint8Array): Promise<number> {
    const part = this.bytes.subarray(Math.min(offset, this.#size), Math.min(offset + dst.length, this.#size));
    dst.set(part);
    return part.length;
  }

  async write(offset: number, src: Uint8Array): Promise<void> {
    this.#reach(offset + src.length);
    this.#bytes.set(src, offset);
  }

  async truncate(size: number): Promise<void> {
    if (size > this.#size) this.#reach(size);
    else this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }

  /** @throws {DiskError} if it may not become `end` bytes long */
  #reach(end: number): void {
    if (this.readonly) throw new DiskError("refused", "the image is read-only");
    if (end > this.#limit) throw new DiskError("refused", `an image in memory ends at ${this.#limit} bytes`);
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(this.#limit, Math.max(end, 2 * this.#bytes.length)));
      grown.set(this.bytes);
      this.#bytes = grown;
    }
    this.#size = Math.max(this.#size, end);
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}

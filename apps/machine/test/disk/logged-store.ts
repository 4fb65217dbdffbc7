import type { ByteStore } from "../../src/index.js";
import { MemoryStore } from "../../src/index.js";

/** A write, a new size, or null for a flush. */
export type LogEntry = { readonly offset: number; readonly bytes: Uint8Array } | { readonly size: number } | null;

/** An image in memory that remembers everything that was done to it, in order. */
export class LoggedStore implements ByteStore {
  readonly readonly = false;
  readonly log: LogEntry[] = [];
  readonly #before: Uint8Array;
  readonly #store: MemoryStore;

  constructor(image: Uint8Array) {
    this.#before = image.slice();
    this.#store = new MemoryStore(image);
  }

  get size(): number {
    return this.#store.size;
  }

  read(offset: number, dst: Uint8Array): Promise<number> {
    return this.#store.read(offset, dst);
  }

  write(offset: number, src: Uint8Array): Promise<void> {
    this.log.push({ offset, bytes: src.slice() });
    return this.#store.write(offset, src);
  }

  truncate(size: number): Promise<void> {
    this.log.push({ size });
    return this.#store.truncate(size);
  }

  async flush(): Promise<void> {
    this.log.push(null);
  }

  async close(): Promise<void> {}

  /** The image if only these entries of the log had happened; of the last one only its first `torn` bytes. */
  replay(entries: readonly LogEntry[], torn = Number.POSITIVE_INFINITY): Uint8Array {
    const image = new MemoryStore(this.#before.slice());
    entries.forEach((entry, k) => {
      if (entry === null) return;
      if ("size" in entry) void image.truncate(entry.size);
      else void image.write(entry.offset, entry.bytes.subarray(0, k === entries.length - 1 ? torn : undefined));
    });
    return image.bytes;
  }
}

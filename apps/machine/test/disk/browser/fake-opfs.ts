import type { DirectoryHandle, FileHandle, SyncAccessHandle } from "../../../src/browser.js";

/** `base::File::FILE_ERROR_NO_SPACE` of Chromium. */
const NO_SPACE = -8;

const exception = (name: string): Error => Object.assign(new Error(`a ${name}`), { name });

/** A directory of the origin's private file system as the WHATWG text describes it, with room for `quota` bytes a file. */
export class FakeDirectory implements DirectoryHandle {
  readonly files = new Map<string, Uint8Array>();
  readonly open = new Set<string>();
  flushes = 0;
  /** As private windows of Chromium have it: what fails says so in its count, or not at all. */
  silent = false;
  /** The most that one call of `write` takes. */
  atOnce = Number.POSITIVE_INFINITY;

  constructor(readonly quota = 2 ** 24) {}

  async getFileHandle(name: string, { create }: { readonly create: boolean }): Promise<FileHandle> {
    if (!this.files.has(name) && !create) throw exception("NotFoundError");
    if (!this.files.has(name)) this.files.set(name, new Uint8Array(0));
    return {
      kind: "file",
      createSyncAccessHandle: async () => {
        if (this.open.has(name)) throw exception("NoModificationAllowedError");
        this.open.add(name);
        return this.#handle(name);
      },
    };
  }

  #handle(name: string): SyncAccessHandle {
    const resize = (size: number): void => {
      if (size > this.quota) throw exception("QuotaExceededError");
      const resized = new Uint8Array(size);
      resized.set(this.#bytes(name).subarray(0, size));
      this.files.set(name, resized);
    };
    return {
      read: (buffer, { at }) => {
        const part = this.#bytes(name).subarray(at, at + buffer.length);
        buffer.set(part);
        return part.length;
      },
      write: (buffer, { at }) => {
        const part = buffer.subarray(0, this.atOnce);
        if (this.silent && at + part.length > this.quota) return NO_SPACE >>> 0;
        if (at + part.length > this.#bytes(name).length) resize(at + part.length);
        this.#bytes(name).set(part, at);
        return part.length;
      },
      truncate: (size) => {
        if (!this.silent || size <= this.quota) resize(size);
      },
      getSize: () => this.#bytes(name).length,
      flush: () => void this.flushes++,
      close: () => void this.open.delete(name),
    };
  }

  #bytes(name: string): Uint8Array {
    return this.files.get(name) ?? new Uint8Array(0);
  }
}

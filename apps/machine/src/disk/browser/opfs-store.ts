import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";

/** What is used of a `FileSystemSyncAccessHandle` (WHATWG File System, "FileSystemSyncAccessHandle"). */
export interface SyncAccessHandle {
  read(buffer: Uint8Array, options: { readonly at: number }): number;
  write(buffer: Uint8Array, options: { readonly at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** What is used of a `FileSystemFileHandle`. */
export interface FileHandle {
  readonly kind: "file";
  createSyncAccessHandle?(): Promise<SyncAccessHandle>;
}

/** What is used of a `FileSystemDirectoryHandle`. */
export interface DirectoryHandle {
  getFileHandle(name: string, options: { readonly create: boolean }): Promise<FileHandle>;
}

export interface OpfsOptions {
  /** Where the file is. Default: the top of the origin's private file system. */
  readonly directory?: DirectoryHandle | undefined;
  /** Make the file, empty, if there is none (default true). */
  readonly create?: boolean | undefined;
}

/**
 * A file in the origin's private file system (OPFS): what is written stays when the page is left, and no other page sees it. Works in a
 * dedicated Worker, where the browser offers `FileSystemSyncAccessHandle`, and needs no cross-origin isolation. A write is in the file when it
 * is done, so it survives a reload; `flush` makes it survive the end of the host as well. The browser lets one have a file open at a time.
 */
export class OpfsStore implements ByteStore {
  readonly readonly = false;
  readonly #handle: SyncAccessHandle;
  #size: number;
  #closed = false;

  /** @param handle what becomes the store's: it closes it */
  constructor(handle: SyncAccessHandle) {
    this.#handle = handle;
    this.#size = handle.getSize();
  }

  /**
   * Opens a file by its name.
   * @throws {DiskError} "busy" if another tab or Worker has it open, "unsupported" where pages have no such files, "unusable" if there is no such file
   * @example const disk = new RawDisk(await OpfsStore.open("disk.img"));
   */
  static async open(name: string, { directory, create = true }: OpfsOptions = {}): Promise<OpfsStore> {
    const file = await (directory ?? (await originFiles()))
      .getFileHandle(name, { create })
      .catch((error: unknown) => Promise.reject(whyNot(error)));
    if (file.createSyncAccessHandle === undefined)
      throw new DiskError(
        "unsupported",
        "files of the origin are opened in a dedicated Worker of a newer browser only",
      );
    try {
      return new OpfsStore(await file.createSyncAccessHandle());
    } catch (error) {
      throw whyNot(error);
    }
  }

  get size(): number {
    return this.#size;
  }

  /** @throws {DiskError} "unusable" for what the browser cannot read */
  async read(offset: number, dst: Uint8Array): Promise<number> {
    const got = this.#handle.read(dst, { at: offset });
    if (!isCount(got, dst.length)) throw new DiskError("unusable", "the browser cannot read it");
    return got;
  }

  /** @throws {DiskError} "refused" when the browser gives the origin no more room */
  async write(offset: number, src: Uint8Array): Promise<void> {
    await this.#change(() => {
      for (let done = 0; done < src.length; ) {
        const written = this.#handle.write(src.subarray(done), { at: offset + done });
        if (written === 0 || !isCount(written, src.length - done)) throw noRoom();
        done += written;
      }
    });
  }

  /** @throws {DiskError} "refused" when the browser gives the origin no more room */
  async truncate(size: number): Promise<void> {
    await this.#change(() => {
      this.#handle.truncate(size);
      if (this.#handle.getSize() !== size) throw noRoom();
    });
  }

  async flush(): Promise<void> {
    this.#handle.flush();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle.close();
  }

  async #change(work: () => void): Promise<void> {
    try {
      work();
    } catch (error) {
      throw whyNot(error);
    } finally {
      this.#size = this.#handle.getSize();
    }
  }
}

/** In private windows Chromium gives errors, negative numbers, as counts beyond 2^31, and a `truncate` that failed says nothing. */
const isCount = (count: number, most: number): boolean => count >= 0 && count <= most;

/** What is used of a page's or Worker's global scope. */
interface Host {
  readonly navigator?: { readonly storage?: { getDirectory?(): Promise<DirectoryHandle> } };
}

/**
 * The top of the origin's private file system.
 * @throws {DiskError} "unsupported" where pages have no such files: an insecure origin, a private window of some browsers, an old browser
 */
export async function originFiles(): Promise<DirectoryHandle> {
  const { storage } = (globalThis as Host).navigator ?? {};
  if (storage?.getDirectory === undefined)
    throw new DiskError("unsupported", "this browser keeps no files for this page: it needs https or localhost");
  try {
    return await storage.getDirectory();
  } catch (cause) {
    throw new DiskError("unsupported", "this browser keeps no files for this page, as in a private window", { cause });
  }
}

const noRoom = (cause?: unknown): DiskError =>
  new DiskError("refused", "the browser gives this page no more room", { cause });

/** What a `DOMException` of the file system means here; anything else as it is. */
function whyNot(cause: unknown): unknown {
  switch ((cause as Partial<Error> | null)?.name) {
    case "NoModificationAllowedError":
      return new DiskError("busy", "another tab or Worker has it open", { cause });
    case "NotFoundError":
      return new DiskError("unusable", "there is no such file", { cause });
    case "QuotaExceededError":
      return noRoom(cause);
    default:
      return cause;
  }
}

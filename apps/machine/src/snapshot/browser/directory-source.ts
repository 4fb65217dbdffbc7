import { type BlobSource, BlobStore } from "../../disk/browser/blob-store.js";
import { SnapshotError } from "../error.js";
import type { SnapshotFile, SnapshotSource } from "../source.js";

/** What is used of a `FileSystemDirectoryHandle` (WHATWG File System), whether of the origin's private file system or of a folder that the user has picked. */
export interface SnapshotDirectory {
  readonly name: string;
  getFileHandle(name: string): Promise<{ getFile(): Promise<BlobSource> }>;
  getDirectoryHandle(name: string): Promise<SnapshotDirectory>;
}

/** What is used of a Worker's global scope. */
interface Host {
  readonly FileReaderSync?: new () => { readAsArrayBuffer(part: unknown): ArrayBuffer };
}

/**
 * The folder of a snapshot behind a handle of the browser's. A file that changes after it was opened cannot be read any more, which the browser sees to. In a Worker
 * its bytes are had at once.
 */
export class DirectorySource implements SnapshotSource {
  readonly #directory: SnapshotDirectory;
  readonly #around: SnapshotDirectory | undefined;

  /** @param around the folder that it lies in, where its parents are: a handle does not lead there */
  constructor(directory: SnapshotDirectory, around?: SnapshotDirectory) {
    this.#directory = directory;
    this.#around = around;
  }

  get name(): string {
    return this.#directory.name;
  }

  async open(file: string): Promise<SnapshotFile> {
    const name = `${this.name}/${file}`;
    const handle = await this.#directory.getFileHandle(file).catch((cause: unknown) => {
      throw refusal(cause, name, "file");
    });
    const blob = await handle.getFile();
    const store = new BlobStore(blob);
    const { FileReaderSync } = globalThis as Host;
    if (FileReaderSync === undefined) return store;
    const reader = new FileReaderSync();
    const readNow = (offset: number, dst: Uint8Array): number => {
      const bytes = new Uint8Array(reader.readAsArrayBuffer(blob.slice(offset, offset + dst.length)));
      dst.set(bytes);
      return bytes.length;
    };
    return { size: store.size, read: (offset, dst) => store.read(offset, dst), readNow, close: () => store.close() };
  }

  async beside(name: string): Promise<SnapshotSource> {
    if (this.#around === undefined)
      throw new SnapshotError("absent", `${name} is not to be found: the handle of ${this.name} does not lead to it`);
    const directory = await this.#around.getDirectoryHandle(name).catch((cause: unknown) => {
      throw refusal(cause, name, "folder");
    });
    return new DirectorySource(directory, this.#around);
  }
}

/** What a `DOMException` of the file system means for who wanted a snapshot; anything else as it is. */
function refusal(cause: unknown, name: string, what: "file" | "folder"): unknown {
  switch ((cause as Partial<Error> | null)?.name) {
    case "NotFoundError":
      return new SnapshotError("absent", `${name} is not there: no snapshot, or one whose writing never ended`, {
        cause,
      });
    case "TypeMismatchError":
      return new SnapshotError("foreign", `${name} is no ${what}, and a snapshot is a folder of files`, { cause });
    default:
      return cause;
  }
}

import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, unlink } from "node:fs/promises";
import type { SnapshotSource } from "../source.js";
import { lockFolder } from "./folder-lock.js";
import { FolderSource } from "./folder-source.js";

/** A file that is being written from its beginning. */
export interface NewFile {
  /** Appends all of it. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes what was written survive the end of the host. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What a path leads to, links not followed. */
export type PathKind = "nothing" | "file" | "folder" | "other";

/** What writing a snapshot needs of a file system. Every call rejects with what the host says. */
export interface SnapshotFs {
  kindOf(path: string): Promise<PathKind>;
  /** Names a folder however it is reached. */
  identityOf(path: string): Promise<string>;
  /** Names in a folder. */
  list(path: string): Promise<readonly string[]>;
  makeFolder(path: string): Promise<void>;
  removeFolder(path: string): Promise<void>;
  /** Makes a file that is not there yet. */
  create(path: string): Promise<NewFile>;
  /** Removes a name; what it links to stays. */
  remove(path: string): Promise<void>;
  /** Gives a file another name, in the place of what has it, at once. */
  rename(from: string, to: string): Promise<void>;
  /** Makes the names in a folder survive the end of the host. */
  syncFolder(path: string): Promise<void>;
  /**
   * Keeps other writers out of a folder until the release is called, or this process ends.
   * @returns null if there is one
   */
  lock(path: string): Promise<(() => Promise<void>) | null>;
  /** Reads what was written. */
  source(path: string): SnapshotSource;
}

/** The file system of the host. */
export const hostFs: SnapshotFs = {
  kindOf: async (path) => {
    try {
      const stat = await lstat(path);
      return stat.isFile() ? "file" : stat.isDirectory() ? "folder" : "other";
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "nothing";
      throw error;
    }
  },
  identityOf: async (path) => {
    const { dev, ino } = await lstat(path, { bigint: true });
    return `${dev}:${ino}`;
  },
  list: (path) => readdir(path),
  makeFolder: (path) => mkdir(path),
  removeFolder: (path) => rmdir(path),
  create: async (path) => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);
    return new HostFile(await open(path, flags, 0o644));
  },
  remove: (path) => unlink(path),
  rename,
  syncFolder: async (path) => {
    // Windows opens no folders.
    if (process.platform === "win32") return;
    const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  lock: lockFolder,
  source: (path) => new FolderSource(path),
};

class HostFile implements NewFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done);
      done += bytesWritten;
    }
  }

  async sync(): Promise<void> {
    await this.#handle.sync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

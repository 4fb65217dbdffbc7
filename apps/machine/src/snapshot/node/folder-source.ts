import { constants, readSync } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SnapshotError } from "../error.js";
import type { SnapshotFile, SnapshotSource } from "../source.js";

/** The folder of a snapshot on the host. The path that the user gives may be a link; nothing in or beside it may. */
export class FolderSource implements SnapshotSource {
  readonly name: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = resolve(path);
    this.name = path;
  }

  async open(file: string): Promise<SnapshotFile> {
    const path = join(this.#path, file);
    // Neither a link is followed, nor a writer of a FIFO waited for.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
    const handle = await open(path, flags).catch((cause: NodeJS.ErrnoException) => {
      throw refusal(cause, `${this.name}/${file}`);
    });
    try {
      const stat = await handle.stat();
      if (!stat.isFile())
        throw new SnapshotError("foreign", `${this.name}/${file} is no file, and only files are read`);
      return new HostFile(handle, stat.size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async beside(name: string): Promise<SnapshotSource> {
    const path = join(dirname(this.#path), name);
    const stat = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
      throw refusal(cause, name);
    });
    if (!stat.isDirectory()) throw new SnapshotError("foreign", `${name} is no folder, and a snapshot is one`);
    return new FolderSource(path);
  }
}

/** Name of a folder among those beside it. */
export const folderName = (path: string): string => basename(resolve(path));

function refusal(cause: NodeJS.ErrnoException, name: string): Error {
  switch (cause.code) {
    case "ENOENT":
      return new SnapshotError("absent", `${name} is not there: no snapshot, or one whose writing never ended`, {
        cause,
      });
    case "ENOTDIR":
      return new SnapshotError("foreign", `${name}: a snapshot is a folder, and this is none`, { cause });
    case "ELOOP":
      return new SnapshotError("foreign", `${name} is a link, and none is followed`, { cause });
    // Opening a socket, or a device without a driver.
    case "ENXIO":
    case "ENODEV":
      return new SnapshotError("foreign", `${name} is no file, and only files are read`, { cause });
    default:
      return cause;
  }
}

class HostFile implements SnapshotFile {
  readonly #handle: FileHandle;

  constructor(
    handle: FileHandle,
    readonly size: number,
  ) {
    this.#handle = handle;
  }

  async read(offset: number, dst: Uint8Array): Promise<number> {
    let done = 0;
    while (done < dst.length) {
      const { bytesRead } = await this.#handle.read(dst, done, dst.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  readNow(offset: number, dst: Uint8Array): number {
    let done = 0;
    while (done < dst.length) {
      const got = readSync(this.#handle.fd, dst, done, dst.length - done, offset + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

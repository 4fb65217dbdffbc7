import { close, constants, fdatasync, fstatSync, ftruncate, openSync, read, readSync, write } from "node:fs";
import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";

const SECTOR = 512;

/**
 * An image in a file or a block device. Every call runs in the host's thread pool, so that a slow disk keeps nobody but who waits for it. A write is
 * in the file when it is done, so it survives the end of this process, whatever ends it; `flush` makes it survive the end of the host as well.
 */
export class FileStore implements ByteStore {
  readonly readonly: boolean;
  /** File descriptor, for what the store does not do. */
  readonly fd: number;
  /** Names the file however it is reached: device and inode, the device's number for a block device. */
  readonly identity: string;
  /** Whether it is a block device, which cannot grow. */
  readonly isDevice: boolean;
  #size: number;
  #busy = 0;
  #idle: (() => void) | null = null;
  #closed = false;
  #whenClosed: () => void = () => undefined;

  /** @throws {DiskError} if it is neither a file nor a block device, and what the host says if it cannot be opened */
  constructor(path: string, readonly: boolean) {
    // Not to wait for a writer of a FIFO, nor to rewind a tape.
    this.fd = openSync(path, (readonly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NONBLOCK);
    this.readonly = readonly;
    try {
      const stat = fstatSync(this.fd, { bigint: true });
      if (!stat.isFile() && !stat.isBlockDevice()) throw new DiskError("unusable", "it is not a file");
      this.isDevice = stat.isBlockDevice();
      this.identity = stat.isFile() ? `${stat.dev}:${stat.ino}` : `block ${stat.rdev}`;
      this.#size = stat.isFile() ? Number(stat.size) : this.#measure();
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  get size(): number {
    return this.#size;
  }

  async read(offset: number, dst: Uint8Array): Promise<number> {
    let done = 0;
    while (done < dst.length) {
      const got = await this.#run<number>((end) => read(this.fd, dst, done, dst.length - done, offset + done, end));
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  async write(offset: number, src: Uint8Array): Promise<void> {
    let done = 0;
    while (done < src.length)
      done += await this.#run<number>((end) => write(this.fd, src, done, src.length - done, offset + done, end));
    this.#size = Math.max(this.#size, offset + src.length);
  }

  async truncate(size: number): Promise<void> {
    await this.#run<void>((end) => ftruncate(this.fd, size, (error) => end(error)));
    this.#size = size;
  }

  flush(): Promise<void> {
    return this.#run<void>((end) => fdatasync(this.fd, (error) => end(error)));
  }

  async version(): Promise<string> {
    const { mtimeNs } = fstatSync(this.fd, { bigint: true });
    return `${this.#size}@${mtimeNs}`;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#busy > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await new Promise<void>((resolve, reject) => close(this.fd, (error) => (error ? reject(error) : resolve())));
    this.#whenClosed();
  }

  /** Calls `listener` once the file is closed. */
  whenClosed(listener: () => void): void {
    this.#whenClosed = listener;
  }

  #run<T>(call: (end: (error: Error | null, value?: T) => void) => void): Promise<T> {
    this.#busy++;
    return new Promise((resolve, reject) => {
      call((error, value) => {
        if (--this.#busy === 0) this.#idle?.();
        if (error) reject(error);
        else resolve(value as T);
      });
    });
  }

  /** Bytes of a block device, which says 0 when asked: found by reading where it ends. */
  #measure(): number {
    const sector = new Uint8Array(SECTOR);
    const has = (n: number): boolean => readSync(this.fd, sector, 0, SECTOR, n * SECTOR) === SECTOR;
    let low = 0;
    let high = 1;
    while (has(high - 1)) high *= 2;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (has(middle)) low = middle + 1;
      else high = middle;
    }
    return low * SECTOR;
  }
}

import { close, constants, fstat, open, read, type Stats } from "node:fs";
import { Socket } from "node:net";
import { promisify } from "node:util";
import { reason, UsageError } from "./errors.js";

/** How much is read, and for how long. */
export interface ReadLimits {
  /** Bytes; a longer file is refused. */
  readonly most: number;
  /** Ends reading, which then rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Bytes of a kernel or an image. One with debug information may be larger than the memory it needs. */
export const IMAGE_MAX = 2 ** 30;

const openFile = promisify(open);
const statOf = promisify(fstat) as (fd: number) => Promise<Stats>;
const readInto = promisify(read);
const closeFile = promisify(close);

/** Bytes read at a time. */
const PIECE = 2 ** 20;

/**
 * Reads a file, or a pipe to its end.
 * @param what what is read, for the message: a flag
 * @throws {UsageError} that names `what`, the path and why it cannot be read: also because it is a device or too long
 */
export async function readFile(what: string, path: string, limits: ReadLimits): Promise<Uint8Array> {
  try {
    // Else a pipe at whose other end nobody is yet would be waited for where no signal reaches.
    const fd = await openFile(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await statOf(fd);
    if (stats.isFIFO()) return await readPipe(fd, limits);
    try {
      return await readRegular(fd, stats, limits);
    } finally {
      await closeFile(fd);
    }
  } catch (error) {
    limits.signal.throwIfAborted();
    throw new UsageError(`${what === "" ? "" : `${what} `}${path}: ${reason(error)}`);
  }
}

/** The message is a clause about a file. */
class UnfitError extends Error {}

const tooLong = (most: number): UnfitError =>
  new UnfitError(`it is longer than ${most < 2 ** 20 ? `${most} bytes` : `${Math.floor(most / 2 ** 20)} MiB`}`);

async function readRegular(fd: number, stats: Stats, { most, signal }: ReadLimits): Promise<Uint8Array> {
  if (stats.isDirectory()) throw new UnfitError("it is a directory");
  if (!stats.isFile()) throw new UnfitError("it is a device, not a file");
  if (stats.size > most) throw tooLong(most);
  const bytes = new Uint8Array(stats.size);
  let length = 0;
  while (length < bytes.length) {
    signal.throwIfAborted();
    const { bytesRead } = await readInto(fd, bytes, length, Math.min(PIECE, bytes.length - length), null);
    // Somebody has cut it short meanwhile.
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/** Reads the pipe `fd`, waiting for who writes to it, and closes it. */
async function readPipe(fd: number, { most, signal }: ReadLimits): Promise<Uint8Array> {
  const pipe = new Socket({ fd, readable: true, writable: false, signal });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of pipe as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > most) throw tooLong(most);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

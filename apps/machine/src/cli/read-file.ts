import { constants, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Socket } from "node:net";
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
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      const refusal = unfit(stats, limits.most);
      if (refusal !== null) throw new UnfitError(refusal);
      return stats.isFIFO() ? await readPipe(file, limits) : await readRegular(file, stats.size, limits);
    } finally {
      await file.close();
    }
  } catch (error) {
    limits.signal.throwIfAborted();
    throw new UsageError(`${what === "" ? "" : `${what} `}${path}: ${reason(error)}`);
  }
}

/** The message is a clause about a file. */
class UnfitError extends Error {}

function unfit(stats: Stats, most: number): string | null {
  if (stats.isDirectory()) return "it is a directory";
  if (!stats.isFile() && !stats.isFIFO()) return "it is a device, not a file";
  return stats.size > most ? tooLong(most) : null;
}

const tooLong = (most: number): string => `it is longer than ${Math.floor(most / 2 ** 20)} MiB`;

async function readRegular(file: FileHandle, size: number, { signal }: ReadLimits): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(bytes, length, Math.min(PIECE, size - length));
    // Somebody has cut it short meanwhile.
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

async function readPipe(file: FileHandle, { most, signal }: ReadLimits): Promise<Uint8Array> {
  const pipe = new Socket({ fd: file.fd, readable: true, writable: false, signal });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of pipe as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > most) throw new UnfitError(tooLong(most));
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Streaming reader of tar archives as dpkg writes them: ustar headers with GNU long names ("L" records).
 * Source: POSIX.1-1988 ustar, GNU tar manual "Basic Tar Format".
 */

/** A regular file of the archive. */
export interface TarFile {
  /** Path as recorded, without the leading `./`. */
  readonly path: string;
  readonly data: Uint8Array;
}

/** Thrown when the bytes end within a member or a header's checksum is wrong. */
export class TarError extends Error {
  override readonly name = "TarError";
}

const BLOCK = 512;
const CHECKSUM_AT = 148;

/** Takes exact counts of bytes off a stream of chunks. */
class ByteQueue {
  private chunks: Uint8Array[] = [];

  constructor(private readonly source: AsyncIterator<Uint8Array>) {}

  /** The next `count` bytes, or undefined when the stream ends before the first of them. @throws TarError if it ends within. */
  async take(count: number, keep = true): Promise<Uint8Array | undefined> {
    const out = new Uint8Array(keep ? count : 0);
    let at = 0;
    while (at < count) {
      let chunk = this.chunks.shift();
      if (chunk === undefined) {
        const next = await this.source.next();
        if (next.done) {
          if (at === 0) return undefined;
          throw new TarError(`the archive ends ${count - at} bytes short of a member of ${count} bytes`);
        }
        chunk = next.value;
      }
      const part = chunk.subarray(0, count - at);
      if (keep) out.set(part, at);
      at += part.length;
      if (part.length < chunk.length) this.chunks.unshift(chunk.subarray(part.length));
    }
    return out;
  }
}

/**
 * Yields the regular files whose path `wanted` accepts, in archive order; the others are skipped without being kept.
 *
 * @throws TarError for a truncated or damaged archive.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  wanted: (path: string) => boolean,
): AsyncGenerator<TarFile> {
  const queue = new ByteQueue(source[Symbol.asyncIterator]());
  let longName: string | undefined;
  for (;;) {
    const header = await queue.take(BLOCK);
    if (header === undefined) throw new TarError("the archive has no end mark");
    if (header.every((byte) => byte === 0)) break;
    verify(header);
    const size = Number.parseInt(text(header, 124, 12), 8) || 0;
    const type = String.fromCharCode(header[156] ?? 0);
    const prefix = text(header, 345, 155);
    const path = (longName ?? (prefix === "" ? "" : `${prefix}/`) + text(header, 0, 100)).replace(/^\.\//, "");
    const keep = type === "L" || ((type === "0" || type === "\0") && wanted(path));
    const padded = Math.ceil(size / BLOCK) * BLOCK;
    const data = await queue.take(padded, keep);
    if (data === undefined) throw new TarError(`the archive ends before the content of ${path}`);
    longName = type === "L" ? text(data, 0, size) : undefined;
    if (keep && type !== "L") yield { path, data: data.subarray(0, size) };
  }
  // What follows the end mark is padding; it is read so that the writer does not meet a closed pipe.
  while ((await queue.take(BLOCK, false)) !== undefined);
}

function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end)).trim();
}

function verify(header: Uint8Array): void {
  let sum = 0;
  header.forEach((byte, at) => {
    sum += at >= CHECKSUM_AT && at < CHECKSUM_AT + 8 ? 0x20 : byte;
  });
  const recorded = Number.parseInt(text(header, CHECKSUM_AT, 8), 8);
  if (sum !== recorded) throw new TarError(`a header's checksum is ${sum}, recorded as ${recorded}`);
}

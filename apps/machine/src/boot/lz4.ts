import type { Pace } from "../pace.js";
import type { Payload } from "./payload.js";

/** Bytes that a block holds at most (LZ4 frame format, "Legacy frame"). */
const BLOCK = 8 * 2 ** 20;
/** Bytes of a packed block at most: each 255 literals cost a byte more. */
const PACKED_BLOCK = BLOCK + Math.ceil(BLOCK / 255) + 16;
/** Bytes unpacked between turns of the event loop. */
const PIECE = 2 ** 20;
const MAGIC_SIZE = 4;
const LEAST_MATCH = 4;

/**
 * LZ4's legacy frame, which the kernel uses: magic, then blocks with their length before them.
 * @throws {RangeError} for a damaged block
 * @throws {KernelError} for more than `out` takes
 */
export async function unpackLz4(data: Uint8Array, out: Payload, pace: Pace): Promise<void> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = MAGIC_SIZE; at < data.length; ) {
    if (data.length - at < 4) throw new RangeError(`${data.length - at} bytes behind the last LZ4 block`);
    const length = view.getUint32(at, true);
    at += 4;
    if (length === 0 || length > PACKED_BLOCK || length > data.length - at) {
      throw new RangeError(`LZ4 block of ${length} bytes at ${at}`);
    }
    for (const _ of unpackBlock(data.subarray(at, at + length), out)) await pace.breathe();
    at += length;
  }
}

/** Unpacks a block behind what `out` holds (LZ4 block format); yields from time to time, and at its end. */
function* unpackBlock(block: Uint8Array, out: Payload): Generator<void> {
  const { bytes, length: start } = out;
  const limit = Math.min(BLOCK, bytes.length - start);
  const end = start + limit;
  let from = 0;
  let to = start;
  let rest = start + PIECE;
  /** The rest of a length whose four bits are all ones. */
  const longer = (length: number): number => {
    for (;;) {
      const more = block[from++];
      if (more === undefined) throw new RangeError("LZ4 length is cut short");
      length += more;
      if (length > BLOCK) throw new RangeError("LZ4 block of more than 8 MiB");
      if (more !== 255) return length;
    }
  };
  const room = (length: number): void => {
    if (to + length <= end) return;
    out.expect(to + length - start);
    throw new RangeError("LZ4 block of more than 8 MiB");
  };
  for (;;) {
    const token = block[from++];
    if (token === undefined) throw new RangeError("LZ4 block is cut short");
    const literals = token >>> 4 === 15 ? longer(15) : token >>> 4;
    if (from + literals > block.length) throw new RangeError("LZ4 literals are cut short");
    room(literals);
    for (const stop = from + literals; from < stop; ) bytes[to++] = block[from++] as number;
    // A block ends with literals.
    if (from === block.length) {
      out.length = to;
      yield;
      return;
    }
    if (from + 2 > block.length) throw new RangeError("LZ4 match is cut short");
    const distance = (block[from] as number) | ((block[from + 1] as number) << 8);
    from += 2;
    const match = ((token & 15) === 15 ? longer(15) : token & 15) + LEAST_MATCH;
    if (distance === 0 || distance > to - start) throw new RangeError(`LZ4 match ${distance} bytes back`);
    room(match);
    // Byte by byte: a match may reach into what it makes.
    for (const stop = to + match; to < stop; to++) bytes[to] = bytes[to - distance] as number;
    if (to < rest) continue;
    yield;
    rest = to + PIECE;
  }
}

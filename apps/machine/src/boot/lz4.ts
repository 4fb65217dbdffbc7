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
/** Bytes up to which copying them one by one is faster than a call. */
const FEW = 32;

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

/** How far a block is unpacked. */
interface Place {
  /** In the block. */
  from: number;
  /** In the contents. */
  to: number;
}

/** Unpacks a block behind what `out` holds (LZ4 block format); yields from time to time, and at its end. */
function* unpackBlock(block: Uint8Array, out: Payload): Generator<void> {
  const start = out.length;
  const place: Place = { from: 0, to: start };
  while (!unpackPiece(block, out, start, place)) yield;
  out.length = place.to;
  yield;
}

/** Goes on for about `PIECE` bytes of contents, whose block starts at `start`. @returns whether that was the end of the block */
function unpackPiece(block: Uint8Array, out: Payload, start: number, place: Place): boolean {
  const { bytes } = out;
  const end = start + Math.min(BLOCK, bytes.length - start);
  let { from, to } = place;
  for (const rest = to + PIECE; to < rest; ) {
    const token = block[from++];
    if (token === undefined) throw new RangeError("LZ4 block is cut short");
    let literals = token >>> 4;
    if (literals === 15) {
      literals = longLength(block, from);
      from += extraBytes(literals);
    }
    if (from + literals > block.length) throw new RangeError("LZ4 literals are cut short");
    if (to + literals > end) refuse(out, to + literals - start);
    if (literals > FEW) bytes.set(block.subarray(from, from + literals), to);
    else for (let k = 0; k < literals; k++) bytes[to + k] = block[from + k] as number;
    from += literals;
    to += literals;
    // A block ends with literals.
    if (from === block.length) {
      place.to = to;
      return true;
    }
    if (from + 2 > block.length) throw new RangeError("LZ4 match is cut short");
    const distance = (block[from] as number) | ((block[from + 1] as number) << 8);
    from += 2;
    let match = token & 15;
    if (match === 15) {
      match = longLength(block, from);
      from += extraBytes(match);
    }
    match += LEAST_MATCH;
    if (distance === 0 || distance > to - start) throw new RangeError(`LZ4 match ${distance} bytes back`);
    if (to + match > end) refuse(out, to + match - start);
    if (match > FEW && distance >= match) bytes.copyWithin(to, to - distance, to - distance + match);
    // Byte by byte: a match may reach into what it makes.
    else for (let k = 0; k < match; k++) bytes[to + k] = bytes[to + k - distance] as number;
    to += match;
  }
  place.from = from;
  place.to = to;
  return false;
}

/** A length whose four bits are all ones, with the bytes at `from` that go on with it. */
function longLength(block: Uint8Array, from: number): number {
  let length = 15;
  for (let at = from; ; at++) {
    const more = block[at];
    if (more === undefined) throw new RangeError("LZ4 length is cut short");
    length += more;
    if (length > BLOCK) throw new RangeError("LZ4 block of more than 8 MiB");
    if (more !== 255) return length;
  }
}

/** How many bytes go on with such a length. */
const extraBytes = (length: number): number => Math.floor((length - 15) / 255) + 1;

/** @throws {RangeError} or {KernelError}: there is no room for `length` bytes of a block */
function refuse(out: Payload, length: number): never {
  out.expect(length);
  throw new RangeError("LZ4 block of more than 8 MiB");
}

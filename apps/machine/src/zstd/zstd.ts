import { BLOCK_MAX, type FrameState, NoRoomError, newFrame, unpackBlock } from "./block.js";

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const CHECKSUM_SIZE = 4;
/** Bits of a frame's header (RFC 8878, 3.1.1.1.1). */
const FLAG = { dictionary: 0x03, checksum: 0x04, reserved: 0x08, single: 0x20 } as const;
const BLOCK = { raw: 0, repeated: 1, packed: 2 } as const;

/** A frame needs a dictionary that does not come with it. */
export class DictionaryError extends RangeError {}

/** Takes what is unpacked, and decides how much that may be. */
export interface Sink {
  readonly bytes: Uint8Array;
  /** Bytes of them that are taken. */
  length: number;
  /** To throw if `more` bytes are more than it takes. */
  expect(more: number): void;
  append(chunk: Uint8Array): void;
}

/**
 * Unpacks Zstandard frames (RFC 8878) one behind the other. Yields after each block of at most 128 KiB. The checksum of the contents is not looked at.
 * @throws {RangeError} for damaged data
 * @throws {DictionaryError} for a frame that needs one
 * @throws what `out` does for more than it takes
 */
export function* unpackZstd(data: Uint8Array, out: Sink): Generator<void> {
  const view = viewOf(data);
  for (let at = 0; at < data.length; ) {
    if (at + 8 > data.length) throw new RangeError(`cut short at ${data.length}`);
    const magic = view.getUint32(at, true);
    if ((magic & ~15) >>> 0 === SKIPPABLE) at += 8 + view.getUint32(at + 4, true);
    else at = yield* unpackFrame(view, at, out);
    if (at > data.length) throw new RangeError(`cut short at ${data.length}`);
  }
}

/** The same for the one frame at the beginning of `data`; what follows does not matter. */
export function* unpackZstdFrame(data: Uint8Array, out: Sink): Generator<void> {
  yield* unpackFrame(viewOf(data), 0, out);
}

const viewOf = (data: Uint8Array): DataView => new DataView(data.buffer, data.byteOffset, data.byteLength);

/** @returns where the frame ends */
function* unpackFrame(view: DataView, start: number, out: Sink): Generator<void, number> {
  if (view.getUint32(start, true) !== MAGIC) throw new RangeError(`no frame at ${start}`);
  const flags = view.getUint8(start + 4);
  const single = (flags & FLAG.single) !== 0;
  if (flags & FLAG.reserved) throw new RangeError("frame of an unknown kind");
  if (flags & FLAG.dictionary) throw new DictionaryError("frame that needs a dictionary");
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][flags >>> 6] as number;
  let at = start + (single ? 5 : 6);
  const size = contentSize(view, at, sizeBytes);
  if (size !== null) out.expect(size);
  at += sizeBytes;
  const frame = newFrame();
  const begin = out.length;
  for (let last = false; !last; yield) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    last = (header & 1) !== 0;
    at = addBlock(view, at + 3, (header >>> 1) & 3, header >>> 3, { frame, begin, out });
  }
  if (size !== null && out.length - begin !== size) throw new RangeError("frame with other contents than declared");
  return at + (flags & FLAG.checksum ? CHECKSUM_SIZE : 0);
}

function contentSize(view: DataView, at: number, bytes: number): number | null {
  if (bytes === 0) return null;
  if (bytes === 1) return view.getUint8(at);
  if (bytes === 2) return view.getUint16(at, true) + 256;
  return view.getUint32(at, true) + (bytes === 8 ? view.getUint32(at + 4, true) * 2 ** 32 : 0);
}

interface Within {
  readonly frame: FrameState;
  /** Where the frame's contents begin. */
  readonly begin: number;
  readonly out: Sink;
}

/** Adds the contents of a block (3.1.1.2); returns where it ends. */
function addBlock(view: DataView, at: number, type: number, size: number, { frame, begin, out }: Within): number {
  if (size > BLOCK_MAX) throw new RangeError(`block of ${size} bytes`);
  const end = at + (type === BLOCK.repeated ? 1 : size);
  if (end > view.byteLength) throw new RangeError(`cut short at ${view.byteLength}`);
  const block = new Uint8Array(view.buffer, view.byteOffset + at, end - at);
  const { bytes, length: from } = out;
  if (type === BLOCK.raw) out.append(block);
  else if (type === BLOCK.repeated) {
    out.expect(size);
    bytes.fill(block[0] as number, from, from + size);
    out.length += size;
  } else if (type === BLOCK.packed) {
    try {
      const room = Math.min(from + BLOCK_MAX, bytes.length);
      out.length = unpackBlock(block, frame, { bytes, start: begin, from, end: room });
    } catch (error) {
      // Either the block is too long, or the sink too short.
      if (error instanceof NoRoomError && bytes.length - from < BLOCK_MAX) out.expect(bytes.length - from + 1);
      throw error;
    }
  } else throw new RangeError("block of an unknown kind");
  return end;
}

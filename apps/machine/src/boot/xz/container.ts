import { UnknownPackingError } from "../error.js";
import { CHECKS, type Check, crc32 } from "./check.js";

/** An .xz file of one stream, as far as its headers tell (The .xz File Format 1.2.1). */
export interface XzFile {
  readonly check: Check;
  readonly blocks: readonly XzBlock[];
}

export interface XzBlock {
  /** The LZMA2 chunks, with the zero behind the last. */
  readonly chunks: Uint8Array;
  /** Bytes that they unpack to. */
  readonly size: number;
  /** Bytes of history that they need, as LZMA2's property tells (5.3.1). */
  readonly dictionary: number;
  /** Address of the first byte for the x86 filter, null if the block has not been filtered. */
  readonly x86: number | null;
  /** What {@link XzFile.check} should be. */
  readonly sum: Uint8Array;
}

const FOOTER_SIZE = 12;
const FOOTER_MAGIC = [0x59, 0x5a];
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
/** Bits of a block's flags (3.1.2). */
const FLAG = { filters: 0x03, reserved: 0x3c, packedSize: 0x40, size: 0x80 } as const;
/** Control bytes of LZMA2 chunks. */
const CHUNK = { end: 0, resetAndCopy: 1, copy: 2, lzma: 0x80, newProperties: 0xc0 } as const;

/**
 * Reads the headers, the index and the footer of an .xz file, and how long its chunks are; unpacks nothing.
 * @throws {RangeError} for a damaged file
 * @throws {UnknownPackingError} for a filter or a check that is not known here
 */
export function readXz(file: Uint8Array): XzFile {
  const reader = new Reader(file, 6);
  const flags = reader.take(2);
  if (reader.u32() !== crc32(flags)) throw new RangeError("stream header with another CRC32");
  const id = flags[1] as number;
  const check = CHECKS.get(id);
  if (flags[0] !== 0 || check === undefined) {
    throw new UnknownPackingError(`its xz payload has a check of type ${id}, which is not known`);
  }
  const blocks: (XzBlock & { readonly unpadded: number })[] = [];
  while (reader.peek() !== 0) blocks.push(readBlock(reader, check));
  const indexAt = reader.at;
  reader.skip(1);
  if (reader.variable() !== blocks.length) throw new RangeError("index of another number of blocks");
  for (const block of blocks) {
    if (reader.variable() !== block.unpadded) throw new RangeError("index with another size of a block");
    if (reader.variable() !== block.size) throw new RangeError("index with another size of a block's contents");
  }
  reader.pad(indexAt);
  const index = file.subarray(indexAt, reader.at);
  if (reader.u32() !== crc32(index)) throw new RangeError("index with another CRC32");
  const footer = reader.take(FOOTER_SIZE);
  const tail = new Reader(footer, 0);
  if (tail.u32() !== crc32(footer.subarray(4, 10))) throw new RangeError("footer with another CRC32");
  if (4 * (tail.u32() + 1) !== index.length + 4) throw new RangeError("footer with another size of the index");
  if (footer[8] !== flags[0] || footer[9] !== id || FOOTER_MAGIC.some((byte, k) => footer[10 + k] !== byte)) {
    throw new RangeError("footer that does not go with the header");
  }
  return { check, blocks };
}

function readBlock(reader: Reader, check: Check): XzBlock & { readonly unpadded: number } {
  const start = reader.at;
  const header = reader.take(4 * (reader.peek() + 1));
  const fields = new Reader(header.subarray(0, -4), 1);
  if (new Reader(header, header.length - 4).u32() !== crc32(header.subarray(0, -4))) {
    throw new RangeError(`block header at ${start} with another CRC32`);
  }
  const flags = fields.byte();
  if (flags & FLAG.reserved) throw new UnknownPackingError("its xz payload has a block of an unknown kind");
  const packedSize = flags & FLAG.packedSize ? fields.variable() : null;
  const declared = flags & FLAG.size ? fields.variable() : null;
  const { dictionary, x86 } = readFilters(fields, (flags & FLAG.filters) + 1);
  fields.zeros();

  const from = reader.at;
  const size = skipChunks(reader);
  const chunks = reader.since(from);
  if (packedSize !== null && packedSize !== chunks.length) throw new RangeError("block of another size than declared");
  if (declared !== null && declared !== size) throw new RangeError("block with other contents than declared");
  const unpadded = reader.at - start + check.size;
  reader.pad(start);
  return { chunks, size, dictionary, x86, sum: reader.take(check.size), unpadded };
}

function readFilters(fields: Reader, count: number): Pick<XzBlock, "dictionary" | "x86"> {
  const filters = Array.from({ length: count }, () => ({
    id: fields.variable(),
    properties: fields.take(fields.variable()),
  }));
  const last = filters.pop();
  const [property] = last?.properties ?? [];
  const unknown = [
    last?.id === FILTER_LZMA2 ? undefined : last,
    filters.find(({ id }) => id !== FILTER_X86),
    filters[1],
  ];
  const named = unknown.find((filter) => filter !== undefined);
  if (named !== undefined) {
    throw new UnknownPackingError(
      `its xz payload has filter 0x${named.id.toString(16)} in a place where only LZMA2, or x86 before it, is known`,
    );
  }
  if (last?.properties.length !== 1 || property === undefined || property > 40) {
    throw new RangeError("LZMA2 with properties that are none");
  }
  const [x86] = filters;
  if (x86 !== undefined && x86.properties.length !== 0 && x86.properties.length !== 4) {
    throw new RangeError("x86 filter with properties that are none");
  }
  return {
    dictionary: property === 40 ? 2 ** 32 - 1 : dictionarySize(property),
    x86: x86 === undefined ? null : x86.properties.length === 0 ? 0 : new Reader(x86.properties, 0).u32(),
  };
}

/** Bytes of history that LZMA2's property stands for, up to 39. */
export const dictionarySize = (property: number): number => (2 + (property & 1)) * 2 ** ((property >>> 1) + 11);

/** Goes from chunk to chunk behind the last one; returns how many bytes they unpack to. */
function skipChunks(reader: Reader): number {
  let size = 0;
  for (;;) {
    const control = reader.byte();
    if (control === CHUNK.end) return size;
    const low = reader.u16be() + 1;
    if (control >= CHUNK.lzma) {
      size += ((control & 0x1f) << 16) + low;
      const packed = reader.u16be() + 1;
      reader.skip(packed + (control >= CHUNK.newProperties ? 1 : 0));
    } else if (control <= CHUNK.copy) {
      size += low;
      reader.skip(low);
    } else throw new RangeError(`LZMA2 chunk with control byte 0x${control.toString(16)}`);
  }
}

/** Goes through bytes that may end at any place. */
class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  peek(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new RangeError(`cut short at ${this.#bytes.length}`);
    return byte;
  }

  byte(): number {
    const byte = this.peek();
    this.at++;
    return byte;
  }

  u16be(): number {
    return (this.byte() << 8) | this.byte();
  }

  u32(): number {
    return (this.byte() | (this.byte() << 8) | (this.byte() << 16) | (this.byte() << 24)) >>> 0;
  }

  skip(count: number): void {
    if (count > this.#bytes.length - this.at) throw new RangeError(`cut short at ${this.#bytes.length}`);
    this.at += count;
  }

  take(count: number): Uint8Array {
    this.skip(count);
    return this.#bytes.subarray(this.at - count, this.at);
  }

  since(from: number): Uint8Array {
    return this.#bytes.subarray(from, this.at);
  }

  /** An integer of up to 9 bytes (1.2). */
  variable(): number {
    let value = 0;
    for (let k = 0; k < 9; k++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * k);
      if (byte < 0x80) return value;
    }
    throw new RangeError("integer of more than 9 bytes");
  }

  /** Zeros up to a multiple of 4 from `start`. */
  pad(start: number): void {
    while ((this.at - start) % 4 !== 0) if (this.byte() !== 0) throw new RangeError("padding that is not zero");
  }

  /** Zeros up to the end. */
  zeros(): void {
    while (this.at < this.#bytes.length) if (this.byte() !== 0) throw new RangeError("padding that is not zero");
  }
}

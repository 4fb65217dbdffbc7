import type { Pace } from "../../pace.js";
import type { Payload } from "../payload.js";
import { drain, pieces } from "../stream.js";
import { crc32 } from "./check.js";
import { dictionarySize, readXz, type XzBlock } from "./container.js";
import { X86Filter } from "./x86-filter.js";

/** Bytes filtered between turns of the event loop. */
const PIECE = 2 ** 20;
const LEAST_DICTIONARY = 4096;
const BLOCK_HEADER_SIZE = 12;

/**
 * Unpacks an .xz file of LZMA2 blocks with or without the x86 filter, and checks its contents. The library behind knows LZMA2 alone: it
 * gets every block as a file of its own without filter and check, whose dictionary is no larger than what the block unpacks to.
 * @throws {RangeError} for a damaged file
 * @throws {UnknownPackingError} for filters and checks that are not known here
 * @throws {KernelError} for more than `out` takes, before anything is unpacked
 */
export async function unpackXz(file: Uint8Array, out: Payload, pace: Pace): Promise<void> {
  const { check, blocks } = readXz(file);
  out.expect(blocks.reduce((sum, { size }) => sum + size, 0));
  const { XzReadableStream } = (await import("xz-decompress")).default;
  for (const block of blocks) {
    const start = out.length;
    await drain(new XzReadableStream(pieces(...plainFile(block))), out, pace);
    const bytes = out.bytes.subarray(start, out.length);
    if (bytes.length !== block.size) throw new RangeError(`block of ${bytes.length} bytes instead of ${block.size}`);
    if (block.x86 !== null) await undoFilter(new X86Filter(bytes, block.x86), bytes.length, pace);
    const sum = await check.of(bytes, pace);
    if (block.sum.some((byte, k) => sum[k] !== byte)) throw new RangeError(`contents with another ${check.name}`);
  }
}

async function undoFilter(filter: X86Filter, size: number, pace: Pace): Promise<void> {
  for (let end = 0; end < size; await pace.breathe()) {
    end = Math.min(end + PIECE, size);
    filter.run(end);
  }
}

/** An .xz file of one block, LZMA2 alone, no check (The .xz File Format, 2 to 4). */
function plainFile({ chunks, size, dictionary }: XzBlock): readonly Uint8Array[] {
  const flags = [0, 0];
  let property = 0;
  const needed = Math.min(dictionary, Math.max(size, LEAST_DICTIONARY));
  while (property < 40 && dictionarySize(property) < needed) property++;
  const blockHeader = [BLOCK_HEADER_SIZE / 4 - 1, 0, 0x21, 1, property, 0, 0, 0];
  const index = padded([0, 1, ...variable(BLOCK_HEADER_SIZE + chunks.length), ...variable(size)]);
  const backward = [...u32((index.length + 4) / 4 - 1), ...flags];
  return [
    Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, ...flags, ...sumOf(flags), ...blockHeader, ...sumOf(blockHeader)),
    chunks,
    Uint8Array.of(...new Uint8Array(-chunks.length & 3), ...index, ...sumOf(index)),
    Uint8Array.of(...sumOf(backward), ...backward, 0x59, 0x5a),
  ];
}

const u32 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
const sumOf = (bytes: readonly number[]): number[] => u32(crc32(Uint8Array.from(bytes)));
const padded = (bytes: readonly number[]): number[] => [...bytes, ...new Uint8Array(-bytes.length & 3)];

/** An integer in groups of 7 bits, the lowest first (1.2). */
function variable(value: number): number[] {
  return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...variable(Math.floor(value / 0x80))];
}

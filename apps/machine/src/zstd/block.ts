import { BackwardBits } from "./backward-bits.js";
import { type FseTable, readFseTable, singleSymbol } from "./fse.js";
import { decodeHuffman, type HuffmanTable, readHuffmanTable } from "./huffman.js";
import { LITERAL_LENGTHS, MATCH_LENGTHS, OFFSETS, type SequenceCode } from "./sequence-tables.js";

/** Bytes that a block holds at most (RFC 8878, 3.1.1.2.4). */
export const BLOCK_MAX = 2 ** 17;

/** What later blocks of a frame may use again. */
export interface FrameState {
  huffman: HuffmanTable | null;
  literalLengths: FseTable | null;
  offsets: FseTable | null;
  matchLengths: FseTable | null;
  /** The last three offsets, the newest first. */
  readonly recent: [number, number, number];
}

export const newFrame = (): FrameState => ({
  huffman: null,
  literalLengths: null,
  offsets: null,
  matchLengths: null,
  recent: [1, 4, 8],
});

/** Where a block's contents go. */
export interface Target {
  readonly bytes: Uint8Array;
  /** Where the frame's contents begin. */
  readonly start: number;
  /** Where the block's do. */
  readonly from: number;
  /** Where they must end at the latest. */
  readonly end: number;
}

/** What is thrown when there is no room for more contents. */
export class NoRoomError extends RangeError {}

/** Unpacks the compressed block `block` (3.1.1.3); returns where its contents end. @throws {RangeError} if it is damaged */
export function unpackBlock(block: Uint8Array, frame: FrameState, target: Target): number {
  const [literals, at] = readLiterals(block, frame);
  return runSequences(block, at, literals, frame, target);
}

/** The literals section (3.1.1.3.1): the literals, and where it ends. */
function readLiterals(block: Uint8Array, frame: FrameState): [Uint8Array, number] {
  const byte = (at: number): number => {
    const value = block[at];
    if (value === undefined) throw new RangeError("literals are cut short");
    return value;
  };
  const first = byte(0);
  const type = first & 3;
  const format = (first >>> 2) & 3;
  if (type < 2) {
    const [size, at] =
      format % 2 === 0
        ? [first >>> 3, 1]
        : format === 1
          ? [(first >>> 4) | (byte(1) << 4), 2]
          : [(first >>> 4) | (byte(1) << 4) | (byte(2) << 12), 3];
    if (size > BLOCK_MAX) throw new RangeError(`${size} literals`);
    if (type === 1) return [new Uint8Array(size).fill(byte(at)), at + 1];
    if (at + size > block.length) throw new RangeError("literals are cut short");
    return [block.subarray(at, at + size), at + size];
  }
  const width = [10, 10, 14, 18][format] as number;
  const headerSize = [3, 3, 4, 5][format] as number;
  let header = 0;
  for (let k = headerSize - 1; k >= 0; k--) header = header * 256 + byte(k);
  const size = Math.floor(header / 16) % 2 ** width;
  const packed = Math.floor(header / 2 ** (4 + width));
  const end = headerSize + packed;
  if (size > BLOCK_MAX || end > block.length) throw new RangeError(`${size} literals in ${packed} bytes`);
  let at = headerSize;
  if (type === 2) [frame.huffman, at] = readHuffmanTable(block, at, end);
  if (frame.huffman === null) throw new RangeError("literals with codes that nothing has told");
  const literals = new Uint8Array(size);
  if (format === 0) decodeHuffman(frame.huffman, block, at, end, literals);
  else decodeFourStreams(frame.huffman, block, at, end, literals);
  return [literals, end];
}

/** Four streams of equal length, the last of what is left, with the sizes of three before them (3.1.1.3.1.6). */
function decodeFourStreams(table: HuffmanTable, block: Uint8Array, at: number, end: number, to: Uint8Array): void {
  if (at + 6 > end) throw new RangeError("literals are cut short");
  const share = (to.length + 3) >>> 2;
  if (3 * share > to.length) throw new RangeError("too few literals for four streams");
  let from = at + 6;
  for (let k = 0; k < 4; k++) {
    const size = k === 3 ? end - from : (block[at + 2 * k] as number) | ((block[at + 2 * k + 1] as number) << 8);
    if (from + size > end) throw new RangeError("literals are cut short");
    decodeHuffman(table, block, from, from + size, to.subarray(k * share, k === 3 ? to.length : (k + 1) * share));
    from += size;
  }
}

/** The sequences section (3.1.1.3.2), carried out; returns where the contents end. */
function runSequences(
  block: Uint8Array,
  start: number,
  literals: Uint8Array,
  frame: FrameState,
  target: Target,
): number {
  const { bytes, end } = target;
  let to = target.from;
  let taken = 0;
  const takeLiterals = (count: number): void => {
    if (taken + count > literals.length) throw new RangeError("more literals than there are");
    if (to + count > end) throw new NoRoomError("contents are too long");
    if (count > 16) bytes.set(literals.subarray(taken, taken + count), to);
    else for (let k = 0; k < count; k++) bytes[to + k] = literals[taken + k] as number;
    taken += count;
    to += count;
  };
  let [count, at] = readCount(block, start);
  if (count > 0) {
    const modes = block[at++];
    if (modes === undefined || (modes & 3) !== 0) throw new RangeError("sequences of an unknown kind");
    const table = (code: SequenceCode, mode: number, before: FseTable | null): FseTable => {
      let chosen = mode === 0 ? code.predefined : before;
      if (mode === 1) {
        const symbol = block[at++];
        if (symbol === undefined || symbol > code.most.symbol) throw new RangeError(`code ${symbol} of a sequence`);
        chosen = singleSymbol(symbol);
      } else if (mode === 2) [chosen, at] = readFseTable(block, at, block.length, code.most);
      if (chosen === null) throw new RangeError("sequences with codes that nothing has told");
      return chosen;
    };
    const lengths = table(LITERAL_LENGTHS, modes >>> 6, frame.literalLengths);
    const offsets = table(OFFSETS, (modes >>> 4) & 3, frame.offsets);
    const matches = table(MATCH_LENGTHS, (modes >>> 2) & 3, frame.matchLengths);
    Object.assign(frame, { literalLengths: lengths, offsets, matchLengths: matches });
    const bits = new BackwardBits(block, at, block.length);
    let lengthState = bits.read(lengths.log);
    let offsetState = bits.read(offsets.log);
    let matchState = bits.read(matches.log);
    for (;;) {
      const offsetCode = offsets.symbols[offsetState] as number;
      const matchCode = matches.symbols[matchState] as number;
      const lengthCode = lengths.symbols[lengthState] as number;
      const offsetValue = 2 ** offsetCode + bits.read(offsetCode);
      const match = (MATCH_LENGTHS.bases[matchCode] as number) + bits.read(MATCH_LENGTHS.bits[matchCode] as number);
      const length =
        (LITERAL_LENGTHS.bases[lengthCode] as number) + bits.read(LITERAL_LENGTHS.bits[lengthCode] as number);
      takeLiterals(length);
      const offset = resolveOffset(frame.recent, offsetValue, length);
      if (offset > to - target.start) throw new RangeError(`match ${offset} bytes back`);
      if (to + match > end) throw new NoRoomError("contents are too long");
      if (offset >= match && match > 16) bytes.copyWithin(to, to - offset, to - offset + match);
      // Byte by byte: a match may reach into what it makes.
      else for (let k = 0; k < match; k++) bytes[to + k] = bytes[to + k - offset] as number;
      to += match;
      if (--count === 0) break;
      lengthState = (lengths.bases[lengthState] as number) + bits.read(lengths.bits[lengthState] as number);
      matchState = (matches.bases[matchState] as number) + bits.read(matches.bits[matchState] as number);
      offsetState = (offsets.bases[offsetState] as number) + bits.read(offsets.bits[offsetState] as number);
    }
    if (bits.left !== 0) throw new RangeError("bits behind the last sequence");
  } else if (at !== block.length) throw new RangeError("bytes behind the literals");
  takeLiterals(literals.length - taken);
  return to;
}

/** Number of sequences, and where their description goes on. */
function readCount(block: Uint8Array, at: number): [number, number] {
  const [first, second, third] = block.subarray(at, at + 3);
  if (first === undefined) throw new RangeError("sequences are cut short");
  if (first < 128) return [first, at + 1];
  if (second === undefined || (first === 255 && third === undefined)) throw new RangeError("sequences are cut short");
  return first < 255 ? [((first - 128) << 8) + second, at + 2] : [second + ((third ?? 0) << 8) + 0x7f00, at + 3];
}

/** The offset that a value stands for: one of the last three, or a new one (3.1.1.5). */
function resolveOffset(recent: [number, number, number], value: number, literals: number): number {
  const [newest, second, third] = recent;
  if (value > 3) {
    recent[2] = second;
    recent[1] = newest;
    recent[0] = value - 3;
    return value - 3;
  }
  const which = literals === 0 ? value + 1 : value;
  if (which === 1) return newest;
  const offset = which === 2 ? second : which === 3 ? third : newest - 1;
  if (offset === 0) throw new RangeError("match 0 bytes back");
  if (which !== 2) recent[2] = second;
  recent[1] = newest;
  recent[0] = offset;
  return offset;
}

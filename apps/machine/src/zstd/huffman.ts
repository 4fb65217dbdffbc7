import { BackwardBits } from "./backward-bits.js";
import { readFseTable } from "./fse.js";

/** A decoding table of Huffman codes (RFC 8878, 4.2): for each value of the next `log` bits a symbol and its code's length. */
export interface HuffmanTable {
  readonly log: number;
  readonly symbols: Uint8Array;
  readonly lengths: Uint8Array;
}

const LOG_MAX = 11;
const WEIGHTS_MAX = 255;
/** Limits of the table that packs weights. */
const WEIGHT_TABLE = { log: 6, symbol: 12 } as const;

/**
 * Reads the description of a table at `at` (4.2.1).
 * @returns the table and where the description ends
 * @throws {RangeError} if it is damaged or goes beyond `end`
 */
export function readHuffmanTable(bytes: Uint8Array, at: number, end: number): [HuffmanTable, number] {
  const header = at < end ? (bytes[at] as number) : 0;
  const count = header - 127;
  const next = at + 1 + (header < 128 ? header : (count + 1) >>> 1);
  if (at >= end || next > end) throw new RangeError("Huffman table is cut short");
  const weights = header < 128 ? packedWeights(bytes, at + 1, next) : plainWeights(bytes, at + 1, count);
  return [tableOf(weights), next];
}

const plainWeights = (bytes: Uint8Array, at: number, count: number): number[] =>
  Array.from({ length: count }, (_, k) => ((bytes[at + (k >>> 1)] as number) >>> (k % 2 === 0 ? 4 : 0)) & 15);

/** Two states take turns until there are no bits for the next one. */
function packedWeights(bytes: Uint8Array, at: number, end: number): number[] {
  const [table, from] = readFseTable(bytes, at, end, WEIGHT_TABLE);
  const bits = new BackwardBits(bytes, from, end);
  const states = [bits.read(table.log), bits.read(table.log)] as [number, number];
  const weights: number[] = [];
  for (let turn = 0; ; turn ^= 1) {
    const state = states[turn] as number;
    weights.push(table.symbols[state] as number);
    if (weights.length >= WEIGHTS_MAX) throw new RangeError("more than 256 Huffman codes");
    const width = table.bits[state] as number;
    if (bits.left < width) {
      weights.push(table.symbols[states[turn ^ 1] as number] as number);
      return weights;
    }
    states[turn] = (table.bases[state] as number) + bits.read(width);
  }
}

/** The last weight is not told: it makes the sum a power of two. */
function tableOf(told: readonly number[]): HuffmanTable {
  const sum = told.reduce((all, weight) => all + (weight === 0 ? 0 : 2 ** (weight - 1)), 0);
  const log = 32 - Math.clz32(sum);
  const rest = 2 ** log - sum;
  if (sum === 0 || log > LOG_MAX || (rest & (rest - 1)) !== 0) throw new RangeError("Huffman codes that are none");
  const weights = [...told, 32 - Math.clz32(rest)];
  const symbols = new Uint8Array(2 ** log);
  const lengths = new Uint8Array(2 ** log);
  let at = 0;
  for (let weight = 1; weight <= log; weight++) {
    weights.forEach((own, symbol) => {
      if (own !== weight) return;
      const to = at + 2 ** (weight - 1);
      symbols.fill(symbol, at, to);
      lengths.fill(log + 1 - weight, at, to);
      at = to;
    });
  }
  return { log, symbols, lengths };
}

/** Decodes bytes `at` to `end` of `bytes` to all of `to` (4.2.2). @throws {RangeError} unless they are just that */
export function decodeHuffman(table: HuffmanTable, bytes: Uint8Array, at: number, end: number, to: Uint8Array): void {
  const bits = new BackwardBits(bytes, at, end);
  const { log, symbols, lengths } = table;
  for (let k = 0; k < to.length; k++) {
    const code = bits.peek(log);
    to[k] = symbols[code] as number;
    bits.skip(lengths[code] as number);
  }
  if (bits.left !== 0) throw new RangeError("Huffman codes for another number of literals");
}

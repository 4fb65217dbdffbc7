import { ByteWriter } from "./bytes.js";

/** The tables by which a shared object's symbols are found: gABI chapter 5, and the GNU extensions as binutils documents them. */

/** A function as others see it. */
export interface DynamicSymbol {
  readonly name: string;
  readonly weak: boolean;
  /** Offset in the image, and bytes. */
  readonly value: number;
  readonly size: number;
}

/** Strings, each once, found by their offset. */
export class StringTable {
  readonly #writer = new ByteWriter().u8(0);
  readonly #offsets = new Map<string, number>();

  offset(text: string): number {
    let offset = this.#offsets.get(text);
    if (offset === undefined) {
      offset = this.#writer.length;
      this.#offsets.set(text, offset);
      this.#writer.text(text);
    }
    return offset;
  }

  bytes(): Uint8Array {
    return this.#writer.bytes();
  }
}

/** Hash of `DT_HASH`, and of the names of versions. */
export function elfHash(name: string): number {
  let h = 0;
  for (const char of name) {
    h = (h << 4) + char.charCodeAt(0);
    const top = h & 0xf0000000;
    h = (h ^ (top >>> 24)) & ~top;
  }
  return h >>> 0;
}

/** Hash of `DT_GNU_HASH`. */
export function gnuHash(name: string): number {
  let h = 5381;
  for (const char of name) h = (Math.imul(h, 33) + char.charCodeAt(0)) >>> 0;
  return h;
}

const GNU_BUCKETS = 4;
const BLOOM_SHIFT = 5;
const bucketOf = ({ name }: DynamicSymbol): number => gnuHash(name) % GNU_BUCKETS;

/** Symbols in the order in which the GNU table wants them: by bucket. */
export const inOrder = (symbols: readonly DynamicSymbol[]): DynamicSymbol[] =>
  [...symbols].sort((a, b) => bucketOf(a) - bucketOf(b));

const [STB_GLOBAL, STB_WEAK, STT_FUNC] = [1, 2, 2];

/** `.dynsym`: symbol 0 is none. */
export function dynamicSymbols(symbols: readonly DynamicSymbol[], strings: StringTable, section: number): Uint8Array {
  const w = new ByteWriter().u64(0, 0, 0);
  for (const { name, weak, value, size } of symbols) {
    w.u32(strings.offset(name))
      .u8(((weak ? STB_WEAK : STB_GLOBAL) << 4) | STT_FUNC, 0)
      .u16(section);
    w.u64(value, size);
  }
  return w.bytes();
}

/** `.hash`. */
export function hashTable(symbols: readonly DynamicSymbol[]): Uint8Array {
  const buckets = new Array<number>(3).fill(0);
  const chain = new Array<number>(symbols.length + 1).fill(0);
  symbols.forEach(({ name }, k) => {
    const bucket = elfHash(name) % buckets.length;
    chain[k + 1] = buckets[bucket] as number;
    buckets[bucket] = k + 1;
  });
  return new ByteWriter().u32(buckets.length, chain.length, ...buckets, ...chain).bytes();
}

/** `.gnu.hash` of symbols that are in order. */
export function gnuHashTable(symbols: readonly DynamicSymbol[]): Uint8Array {
  const hashes = symbols.map(({ name }) => gnuHash(name));
  let [low, high] = [0, 0];
  for (const hash of hashes) {
    for (const bit of [hash % 64, (hash >>> BLOOM_SHIFT) % 64]) {
      if (bit < 32) low |= 1 << bit;
      else high |= 1 << (bit - 32);
    }
  }
  const w = new ByteWriter().u32(GNU_BUCKETS, 1, 1, BLOOM_SHIFT, low, high);
  for (let bucket = 0; bucket < GNU_BUCKETS; bucket++)
    w.u32(1 + symbols.findIndex((symbol) => bucketOf(symbol) === bucket));
  symbols.forEach((symbol, k) => {
    const next = symbols[k + 1];
    const last = next === undefined || bucketOf(next) !== bucketOf(symbol);
    w.u32((((hashes[k] as number) & ~1) | (last ? 1 : 0)) >>> 0);
  });
  return w.bytes();
}

/** `.gnu.version`: all symbols are of version 2. */
export const symbolVersions = (symbols: readonly DynamicSymbol[]): Uint8Array =>
  new ByteWriter().u16(0, ...symbols.map(() => 2)).bytes();

/** `.gnu.version_d`: version 1 is the object itself, version 2 that of its symbols. */
export function versionDefinitions(soname: string, version: string, strings: StringTable): Uint8Array {
  const w = new ByteWriter();
  [soname, version].forEach((name, k) => {
    const last = k === 1;
    w.u16(1, k === 0 ? 1 : 0, k + 1, 1).u32(elfHash(name), 20, last ? 0 : 28);
    w.u32(strings.offset(name), 0);
  });
  return w.bytes();
}

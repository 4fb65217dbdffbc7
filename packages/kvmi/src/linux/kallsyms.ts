import { GuestOsError } from "./errors.js";
import { alignUp, cString, find } from "./search.js";
import { finish, Pace, type Work } from "./work.js";

/** A kernel's symbol table, decoded: addresses by name. Names that occur twice keep their first address. */
export type Symbols = ReadonlyMap<string, bigint>;

/** Markers stand every so many symbols. */
const MARKER_EVERY = 256;
const TOKENS = 256;
/** Tokens of a single character keep that character's place in the table. */
const DIGITS = new TextEncoder().encode("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0");
const DIGIT_ZERO = 48;
const MIN_SYMBOLS = 1000;
const MAX_SYMBOLS = 1_000_000;
/** Characters of a name, with its type in front (KSYM_NAME_LEN), and of all names. */
const MAX_NAME = 513;
const MAX_NAMES = 64 << 20;
const MAX_TOKENS = 0x10000;
/** Steps in which any kernel's tables are found: those of 6.1.y take a few per symbol there could be. */
const MAX_STEPS = 1 << 26;

/** Where the tables lie, as offsets in the image. */
interface Tables {
  readonly tokens: readonly string[];
  readonly names: number;
  readonly count: number;
  readonly offsets: number;
  /** Offset of the 8-byte base that `offsets` are relative to. */
  readonly base: number;
}

/**
 * Finds and decodes, in pieces, the symbol table that a kernel carries in its read-only data (CONFIG_KALLSYMS), whatever /proc/kallsyms
 * shows to the guest's users. Layout as scripts/kallsyms.c writes it, in the order before 6.4 and that since; found by what it must look
 * like.
 *
 * @param image the kernel's read-only data, or more; 8-byte aligned in memory
 * @returns null if there is no such table
 * @throws {GuestOsError} for an image that is made to be searched for ever, or whose names are longer than any kernel's
 */
export function* kallsymsIn(image: Uint8Array): Work<Symbols | null> {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const search = { image, view, pace: new Pace("the kernel's symbols", MAX_STEPS) };
  for (let at = yield* find(image, DIGITS); at >= 0; at = yield* find(image, DIGITS, at + 1)) {
    const tables = yield* tablesAround(search, at);
    if (tables !== null) return yield* decode(search, tables);
  }
  return null;
}

/** {@link kallsymsIn}, at once. @throws {GuestOsError} */
export const findKallsyms = (image: Uint8Array): Symbols | null => finish(kallsymsIn(image));

interface Search {
  readonly image: Uint8Array;
  readonly view: DataView;
  readonly pace: Pace;
}

/** Judges the token table whose token for "0" is at `zero`. */
function* tablesAround(search: Search, zero: number): Work<Tables | null> {
  const { image, view, pace } = search;
  const near = image.subarray(zero, zero + MAX_TOKENS);
  let length = 0;
  for (let token = DIGIT_ZERO; token < TOKENS; token++) {
    length = near.indexOf(0, length) + 1;
    if (length <= 0) return null;
  }
  const end = zero + length;
  if (pace.due(TOKENS + length)) yield;
  const index = alignUp(end, 8);
  if (index + 2 * TOKENS > image.length || view.getUint16(index, true) !== 0) return null;
  const offsetOf = (token: number): number => view.getUint16(index + 2 * token, true);
  const table = zero - offsetOf(DIGIT_ZERO);
  if (table < 0) return null;
  for (let token = 1; token < TOKENS; token++)
    if (offsetOf(token) <= offsetOf(token - 1) || image[table + offsetOf(token) - 1] !== 0) return null;
  const tokens = Array.from({ length: TOKENS }, (_, token) => cString(image, table + offsetOf(token)));

  const names = yield* namesBefore(search, table);
  if (names === null) return null;
  const { count, start } = names;
  // Since 6.4 the addresses stand behind the token index, before that in front of everything.
  const after = {
    offsets: alignUp(index + 2 * TOKENS, 8),
    base: alignUp(alignUp(index + 2 * TOKENS, 8) + 4 * count, 8),
  };
  const before = { offsets: start - 16 - alignUp(4 * count, 8), base: start - 16 };
  for (const place of [before, after]) {
    if (place.offsets < 0 || place.offsets + 4 * count > image.length) continue;
    if (place.base < 0 || place.base + 8 > image.length) continue;
    if (view.getBigUint64(place.base, true) >= 0xffff_ffff_8000_0000n) return { tokens, names: start, count, ...place };
  }
  return null;
}

/** An array of markers: u32, ascending from 0. */
interface Markers {
  readonly at: number;
  readonly count: number;
}

/** The names in front of `table`, with their markers between; kernels of some series have another table there, of 3 bytes a symbol. */
function* namesBefore(search: Search, table: number): Work<Names | null> {
  const { view, pace } = search;
  const direct = yield* markersEndingAt(search, table);
  if (direct !== null) return yield* namesEndingAt(search, direct);
  for (let count = MIN_SYMBOLS; count < MAX_SYMBOLS; count++) {
    if (pace.due(1)) yield;
    const markers = { count: Math.ceil(count / MARKER_EVERY), at: 0 };
    markers.at = table - alignUp(3 * count, 8) - alignUp(4 * markers.count, 8);
    if (markers.at < 0) return null;
    if (view.getUint32(markers.at, true) !== 0 || !ascending(search, markers)) continue;
    const names = yield* namesEndingAt(search, markers);
    if (names?.count === count) return names;
  }
  return null;
}

function ascending({ view, pace }: Search, { at, count }: Markers): boolean {
  let k = 1;
  while (k < count && view.getUint32(at + 4 * k, true) > view.getUint32(at + 4 * k - 4, true)) k++;
  pace.due(k);
  return k >= count;
}

function* markersEndingAt({ view, pace }: Search, end: number): Work<Markers | null> {
  let at = end - 4;
  if (at >= 0 && view.getUint32(at, true) === 0) at -= 4;
  const last = at;
  while (at >= 4) {
    const value = view.getUint32(at, true);
    if (value === 0) return last === at ? null : { at, count: (last - at) / 4 + 1 };
    if (view.getUint32(at - 4, true) >= value) return null;
    at -= 4;
    if (pace.due(1)) yield;
  }
  return null;
}

/** Length of the name at `at` and where its tokens start; names of 128 tokens and more have two bytes of length. */
function nameAt(image: Uint8Array, at: number): { readonly tokens: number; readonly length: number } {
  const first = image[at] ?? 0;
  if (first < 128) return { tokens: at + 1, length: first };
  return { tokens: at + 2, length: (first & 0x7f) | ((image[at + 1] ?? 0) << 7) };
}

interface Names {
  readonly start: number;
  readonly count: number;
}

/** The names in front of the markers: the number of symbols stands before them and fits the number of markers. */
function* namesEndingAt({ image, view, pace }: Search, markers: Markers): Work<Names | null> {
  const last = view.getUint32(markers.at + 4 * (markers.count - 1), true);
  const second = view.getUint32(markers.at + 4, true);
  if (last > markers.at) return null;
  const lowest = markers.at - last - MARKER_EVERY * 514 - 8;
  for (let start = (markers.at - last) & ~7; start >= Math.max(lowest, 8); start -= 8) {
    if (pace.due(1)) yield;
    const count = view.getUint32(start - 8, true);
    if (count > MAX_SYMBOLS || count < MIN_SYMBOLS || Math.ceil(count / MARKER_EVERY) !== markers.count) continue;
    if (view.getUint32(start - 4, true) !== 0) continue;
    let at = start;
    for (let k = 0; k < MARKER_EVERY; k++) {
      const { tokens, length } = nameAt(image, at);
      at = tokens + length;
    }
    if (pace.due(MARKER_EVERY)) yield;
    if (at - start === second) return { start, count };
  }
  return null;
}

function* decode({ image, view, pace }: Search, { tokens, names, count, offsets, base }: Tables): Work<Symbols> {
  const relative = view.getBigUint64(base, true);
  // With CONFIG_KALLSYMS_ABSOLUTE_PERCPU, addresses are negative numbers and per-CPU offsets positive ones.
  let negative = 0;
  for (let k = 0; k < count; k++) {
    if (view.getInt32(offsets + 4 * k, true) < 0) negative++;
    if (pace.due(1)) yield;
  }
  const percpu = negative > count / 2;
  const symbols = new Map<string, bigint>();
  let at = names;
  let characters = 0;
  for (let k = 0; k < count; k++) {
    const name = nameAt(image, at);
    let text = "";
    for (let t = 0; t < name.length && text.length <= MAX_NAME; t++) text += tokens[image[name.tokens + t] ?? 0];
    if (text.length > MAX_NAME)
      throw new GuestOsError("implausible", `symbol ${k} has a name of more than ${MAX_NAME - 1} characters`);
    characters += text.length;
    if (characters > MAX_NAMES)
      throw new GuestOsError("implausible", `the names of symbols have more than ${MAX_NAMES} characters`);
    // Characters are what takes long here.
    if (pace.due(8 + text.length)) yield;
    at = name.tokens + name.length;
    const offset = view.getInt32(offsets + 4 * k, true);
    // The first character is the symbol's type.
    const address = percpu
      ? offset >= 0
        ? BigInt(offset)
        : relative - 1n - BigInt(offset)
      : relative + BigInt(offset >>> 0);
    const key = text.slice(1);
    if (!symbols.has(key)) symbols.set(key, address);
  }
  return symbols;
}

import type { Work } from "../work.js";
import type { TypeIndex } from "./index-types.js";

/** Names that are hashed between two stops. */
const STEPS = 8192;
const SEPARATOR = "___";
/** Characters of a name that count, as in Btf.string. */
const NAME_MOST = 512;

/**
 * Characters of a name without its flavour: `task_struct___old` is `task_struct` of an older kernel. A flavour begins
 * behind exactly three underscores; the last such place counts (tools/lib/bpf/libbpf_internal.h).
 */
function essentialLength(name: string): number {
  for (let at = name.lastIndexOf(SEPARATOR); at > 0; at = name.lastIndexOf(SEPARATOR, at - 1)) {
    const [before, after] = [name[at - 1], name[at + SEPARATOR.length]];
    if (before !== "_" && after !== "_" && after !== undefined) return at;
  }
  return name.length;
}

/** A name without its flavour. */
export const essentialName = (name: string): string => name.slice(0, essentialLength(name));

/** Strings of type information that other continues. */
export interface Strings {
  /** How many bytes they have. */
  readonly stringBytes: number;
  /** The string at an offset. */
  string(offset: number): string;
}

/** The types of one blob by the hash of their names without flavours: chains with rising numbers. */
export class NameIndex {
  private constructor(
    private readonly heads: Int32Array,
    private readonly next: Int32Array,
    private readonly hashes: Int32Array,
  ) {}

  /**
   * Hashes the names, in pieces.
   * @param base whose strings come before these
   */
  static *build(bytes: Uint8Array, { header, offsets }: TypeIndex, base: Strings | null): Work<NameIndex> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = 1 << Math.max(4, 31 - Math.clz32(offsets.length + 1));
    const heads = new Int32Array(size).fill(-1);
    const next = new Int32Array(offsets.length);
    const hashes = new Int32Array(offsets.length);
    const first = base?.stringBytes ?? 0;
    const { start, end } = header.strings;
    // From the end on, so that the chains rise.
    for (let k = offsets.length - 1; k >= 0; k--) {
      if (k % STEPS === 0) yield;
      const name = view.getUint32(offsets[k] as number, true);
      if (name === 0) continue;
      const hash =
        name < first ? hashText(essentialName(base?.string(name) ?? "")) : hashBytes(bytes, start + name - first, end);
      const bucket = hash & (size - 1);
      hashes[k] = hash;
      next[k] = heads[bucket] as number;
      heads[bucket] = k;
    }
    return new NameIndex(heads, next, hashes);
  }

  /** Places of the types whose name without flavour has the same hash as this one's, rising. */
  *candidates(essential: string): Generator<number> {
    const hash = hashText(essential);
    for (let k = this.heads[hash & (this.heads.length - 1)] as number; k >= 0; k = this.next[k] as number)
      if (this.hashes[k] === hash) yield k;
  }
}

const UNDERSCORE = 0x5f;

/** FNV-1a of a name without its flavour. */
function hashBytes(bytes: Uint8Array, start: number, last: number): number {
  const limit = Math.min(last, start + NAME_MOST);
  let end = start;
  let flavour = -1;
  for (let run = 0; end < limit && bytes[end] !== 0; end++) {
    if (bytes[end] === UNDERSCORE) run++;
    else {
      if (run === 3 && end - 3 > start) flavour = end - 3;
      run = 0;
    }
  }
  if (flavour > 0) end = flavour;
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return hash ^ (hash >>> 15);
}

function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ (text.charCodeAt(at) & 0xff), 0x01000193);
  return hash ^ (hash >>> 15);
}

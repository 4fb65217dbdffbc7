import { HEADER, type Index, indexTypes, Kind, kindOf, LINKS, MEMBER, TYPE, viewOf } from "./btf-format.js";
import { BtfError, GuestOsError } from "./errors.js";
import { cString, find } from "./search.js";
import { finish, type Work } from "./work.js";

/** btf_header: magic, version 1, no flags, 24 bytes, types from 0 on (linux, Documentation/bpf/btf.rst). */
const MAGIC = Uint8Array.of(0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0);
/** A kernel's own has some MB. */
const LEAST = 0x10000;
/** Blobs that begin like type information, programs' and modules' among them. */
const MOST_BLOBS = 4096;
/** Typedefs and qualifiers one behind another (MAX_RESOLVE_DEPTH is half of it). */
const MOST_LINKS = 64;
/** Characters of a name that are read (KSYM_NAME_LEN). */
const NAME_MOST = 512;

/** A member's place. */
export interface Member {
  /** Bytes from the start of the structure that was asked for. */
  readonly offset: number;
  /** Bits from there, and how many, if it is a bit field. */
  readonly bits: { readonly shift: number; readonly size: number } | null;
  /** Type number. */
  readonly type: number;
}

/** One type: btf_type, and where what belongs to it lies. */
export interface BtfType {
  readonly id: number;
  readonly kind: Kind;
  /** Empty if it has none. */
  readonly name: string;
  /** How many members, parameters or values it has. */
  readonly count: number;
  /** `kind_flag`: of an enum, that it is signed. */
  readonly flag: boolean;
  /** Bytes, or the number of the type it is made of. */
  readonly sizeOrType: number;
}

/** The type information a kernel carries about itself. Whatever the bytes are, nothing is read outside them, and no search goes on for ever. */
export class Btf {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #index: Index;
  readonly #byName = new Map<string, number | null>();
  readonly #functions = new Map<string, number | null>();

  /** @param bytes from the header on. @throws {BtfError} if they are no type information, or of a kind that is not known */
  constructor(bytes: Uint8Array, index = finish(indexTypes(bytes))) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#index = index;
  }

  /** As the constructor, in pieces. @throws {BtfError} */
  static *read(bytes: Uint8Array): Work<Btf> {
    return new Btf(bytes, yield* indexTypes(bytes));
  }

  /** Number of types. */
  get size(): number {
    return this.#index.types.length - 1;
  }

  /** Bytes of a structure; null if there is none of that name. */
  sizeOf(name: string): number | null {
    const id = this.#named(name);
    return id === null ? null : this.#u32(this.#at(id) + 8);
  }

  /**
   * A member by its path ("se.avg.load_sum"), through structures without a name; null if there is none.
   * @throws {BtfError} for types that contain themselves or lead nowhere
   */
  member(struct: string, path: string): Member | null {
    let type = this.#named(struct);
    let found: Member | null = null;
    let base = 0;
    for (const name of path.split(".")) {
      if (type === null) return null;
      found = this.#find(this.#resolve(type), encode(name), base, new Set(), new Set());
      if (found === null) return null;
      base = found.offset;
      type = found.type;
    }
    return found;
  }

  /** Number of a function's FUNC_PROTO; null if there is none of that name. */
  prototypeOf(name: string): number | null {
    const id = this.#first(name, this.#index.functions, this.#functions);
    return id === null ? null : this.#u32(this.#at(id) + 8);
  }

  /** A type by its number; 0 is void. @throws {BtfError} */
  type(id: number): BtfType {
    const at = this.#at(id);
    if (at === 0) return { id, kind: Kind.Void, name: "", count: 0, flag: false, sizeOrType: 0 };
    const info = this.#u32(at + 4);
    return {
      id,
      kind: kindOf(info),
      name: this.#string(this.#u32(at)),
      count: info & 0xffff,
      flag: info >>> 31 === 1,
      sizeOrType: this.#u32(at + 8),
    };
  }

  /** Through typedefs and qualifiers. @throws {BtfError} */
  resolve(id: number): number {
    return this.#resolve(id);
  }

  /** Word `k` behind a type's own 12 bytes. @throws {BtfError} beyond them */
  word(id: number, k: number): number {
    const at = this.#at(id) + TYPE + 4 * k;
    if (at + 4 > this.#bytes.length) throw new BtfError(`type ${id} has no word ${k}`);
    return this.#u32(at);
  }

  /** The string at an offset, as Latin-1: 512 characters at most. */
  #string(offset: number): string {
    const { start, end } = this.#index.strings;
    return cString(this.#bytes.subarray(0, end), start + offset, NAME_MOST);
  }

  /** The string that word `k` behind a type's own bytes leads to. @throws {BtfError} */
  stringAt(id: number, k: number): string {
    return this.#string(this.word(id, k));
  }

  /** Number of the first structure or union of that name. */
  #named(name: string): number | null {
    return this.#first(name, this.#index.named, this.#byName);
  }

  #first(name: string, ids: readonly number[], known: Map<string, number | null>): number | null {
    let found = known.get(name);
    if (found === undefined) {
      const bytes = encode(name);
      found = ids.find((id) => this.#isString(this.#u32(this.#at(id)), bytes)) ?? null;
      known.set(name, found);
    }
    return found;
  }

  /**
   * @param open the structures that `id` is part of
   * @param searched those that have no such member, wherever they are met again
   */
  #find(id: number, name: Uint8Array, base: number, open: Set<number>, searched: Set<number>): Member | null {
    if (open.has(id)) throw new BtfError(`type ${id} contains itself`);
    const at = this.#at(id);
    const info = at === 0 ? 0 : this.#u32(at + 4);
    const kind = kindOf(info);
    if ((kind !== Kind.Struct && kind !== Kind.Union) || searched.has(id)) return null;
    open.add(id);
    if (open.size > MOST_LINKS) throw new BtfError(`type ${id} is more than ${MOST_LINKS} structures deep`);
    for (let k = 0; k < (info & 0xffff); k++) {
      const member = at + TYPE + MEMBER * k;
      const nameOffset = this.#u32(member);
      const type = this.#u32(member + 4);
      const place = this.#u32(member + 8);
      const bit = info >>> 31 === 0 ? place : place & 0xffffff;
      const size = info >>> 31 === 0 ? 0 : place >>> 24;
      if (nameOffset === 0) {
        const inner = this.#find(this.#resolve(type), name, base + (bit >>> 3), open, searched);
        if (inner !== null) return inner;
      } else if (this.#isString(nameOffset, name)) {
        return { offset: base + (bit >>> 3), bits: size === 0 ? null : { shift: bit & 7, size }, type };
      }
    }
    open.delete(id);
    searched.add(id);
    return null;
  }

  /** Through typedefs and qualifiers. */
  #resolve(id: number): number {
    let current = id;
    for (let links = 0; links <= MOST_LINKS; links++) {
      const at = this.#at(current);
      if (at === 0 || !LINKS.has(kindOf(this.#u32(at + 4)))) return current;
      current = this.#u32(at + 8);
    }
    throw new BtfError(`type ${id} leads to others without end`);
  }

  /** Where a type lies; 0: void. */
  #at(id: number): number {
    const at = this.#index.types[id];
    if (at === undefined) throw new BtfError(`type ${id} of ${this.size}`);
    return at;
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  /** Whether the string at `offset` is `text`. */
  #isString(offset: number, text: Uint8Array): boolean {
    const { start, end } = this.#index.strings;
    const at = start + offset;
    if (at + text.length >= end || this.#bytes[at + text.length] !== 0) return false;
    for (let k = 0; k < text.length; k++) if (this.#bytes[at + k] !== text[k]) return false;
    return true;
  }
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Finds the type information in a kernel's read-only data, in pieces; null if it has none (CONFIG_DEBUG_INFO_BTF). @throws {BtfError} */
export function* btfIn(image: Uint8Array): Work<Btf | null> {
  const view = viewOf(image);
  let blobs = 0;
  for (let at = yield* find(image, MAGIC); at >= 0; at = yield* find(image, MAGIC, at + 1)) {
    if (at + HEADER > image.length) return null;
    const size = HEADER + view.getUint32(at + 16, true) + view.getUint32(at + 20, true);
    // The kernel's own has tens of thousands of types; modules' and programs' are small.
    if (size > LEAST && at + size <= image.length) return yield* Btf.read(image.subarray(at, at + size));
    blobs++;
    if (blobs === MOST_BLOBS)
      throw new GuestOsError("implausible", `more than ${MOST_BLOBS} places that begin like type information`);
  }
  return null;
}

/** {@link btfIn}, at once. @throws {BtfError} */
export const findBtf = (image: Uint8Array): Btf | null => finish(btfIn(image));

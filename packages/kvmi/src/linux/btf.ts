import { BtfError, GuestOsError } from "./errors.js";
import { find } from "./search.js";
import { finish, type Work } from "./work.js";

/** btf_header: magic, version 1, no flags, 24 bytes, types from 0 on (linux, Documentation/bpf/btf.rst). */
const MAGIC = Uint8Array.of(0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0);
const HEADER = 24;
/** btf_type. */
const TYPE = 12;
/** btf_member. */
const MEMBER = 12;
/** A kernel's own has some MB. */
const LEAST = 0x10000;
const MOST = 16 << 20;
/** Blobs that begin like type information, programs' and modules' among them. */
const MOST_BLOBS = 4096;
/** Types between two stops. */
const STRETCH = 8192;
/** Typedefs and qualifiers one behind another (MAX_RESOLVE_DEPTH is half of it). */
const MOST_LINKS = 64;

enum Kind {
  Int = 1,
  Ptr = 2,
  Array = 3,
  Struct = 4,
  Union = 5,
  Enum = 6,
  Fwd = 7,
  Typedef = 8,
  Volatile = 9,
  Const = 10,
  Restrict = 11,
  Func = 12,
  FuncProto = 13,
  Var = 14,
  DataSec = 15,
  Float = 16,
  DeclTag = 17,
  TypeTag = 18,
  Enum64 = 19,
}

/** Those that lead to another type and mean the same. */
const LINKS: ReadonlySet<number> = new Set([Kind.Typedef, Kind.Volatile, Kind.Const, Kind.Restrict, Kind.TypeTag]);

/** A member's place. */
export interface Member {
  /** Bytes from the start of the structure that was asked for. */
  readonly offset: number;
  /** Bits from there, and how many, if it is a bit field. */
  readonly bits: { readonly shift: number; readonly size: number } | null;
  /** Type number. */
  readonly type: number;
}

/** What lies where in type information. */
interface Index {
  /** Byte offset of each type; type 0 is void. */
  readonly types: readonly number[];
  /** Numbers of the structures and unions that have a name. */
  readonly named: readonly number[];
  /** Strings, as byte offsets `[start, end)`. */
  readonly strings: { readonly start: number; readonly end: number };
}

/** The type information a kernel carries about itself. Whatever the bytes are, nothing is read outside them, and no search goes on for ever. */
export class Btf {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #index: Index;
  readonly #byName = new Map<string, number | null>();

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

  /** Number of the first structure or union of that name. */
  #named(name: string): number | null {
    let found = this.#byName.get(name);
    if (found === undefined) {
      const bytes = encode(name);
      found = this.#index.named.find((id) => this.#isString(this.#u32(this.#at(id)), bytes)) ?? null;
      this.#byName.set(name, found);
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
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const kindOf = (info: number): Kind => (info >>> 24) & 31;

/** Goes through all types once. @throws {BtfError} */
function* indexTypes(bytes: Uint8Array): Work<Index> {
  if (bytes.length < HEADER || bytes.length > MOST)
    throw new BtfError(`${bytes.length} bytes, where ${HEADER} to ${MOST} make sense`);
  const view = viewOf(bytes);
  const [typeOffset, typeLength, stringOffset, stringLength] = [8, 12, 16, 20].map((at) =>
    view.getUint32(at, true),
  ) as [number, number, number, number];
  const start = HEADER + typeOffset;
  const end = start + typeLength;
  const strings = { start: HEADER + stringOffset, end: HEADER + stringOffset + stringLength };
  if (end > bytes.length || strings.end > bytes.length)
    throw new BtfError(`types up to ${end} and strings up to ${strings.end} in ${bytes.length} bytes`);
  const types = [0];
  const named: number[] = [];
  for (let at = start; at < end; ) {
    const id = types.length;
    const info = at + TYPE <= end ? view.getUint32(at + 4, true) : 0;
    const kind = kindOf(info);
    const size = TYPE + extra(kind, info & 0xffff, id);
    if (at + size > end) throw new BtfError(`type ${id} ends at ${at + size}, behind all types, ${end}`);
    types.push(at);
    if ((kind === Kind.Struct || kind === Kind.Union) && view.getUint32(at, true) !== 0) named.push(id);
    at += size;
    if (id % STRETCH === 0) yield;
  }
  return { types, named, strings };
}

/** Bytes behind a type of `kind` with `n` members. @throws {BtfError} */
function extra(kind: Kind, n: number, id: number): number {
  switch (kind) {
    case Kind.Int:
    case Kind.Var:
    case Kind.DeclTag:
      return 4;
    case Kind.Array:
      return 12;
    case Kind.Struct:
    case Kind.Union:
    case Kind.DataSec:
    case Kind.Enum64:
      return MEMBER * n;
    case Kind.Enum:
    case Kind.FuncProto:
      return 8 * n;
    case Kind.Ptr:
    case Kind.Fwd:
    case Kind.Typedef:
    case Kind.Volatile:
    case Kind.Const:
    case Kind.Restrict:
    case Kind.Func:
    case Kind.Float:
    case Kind.TypeTag:
      return 0;
    default:
      throw new BtfError(`type ${id} is of kind ${String(kind)}, which is not known`);
  }
}

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

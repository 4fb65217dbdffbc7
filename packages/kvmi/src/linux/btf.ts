import { cString, find } from "./search.js";

/** btf_header: magic, version 1, no flags, 24 bytes, types from 0 on (linux, Documentation/bpf/btf.rst). */
const MAGIC = Uint8Array.of(0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0);
const HEADER = 24;

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

/** A member's place. */
export interface Member {
  /** Bytes from the start of the structure that was asked for. */
  readonly offset: number;
  /** Bits from there, and how many, if it is a bit field. */
  readonly bits: { readonly shift: number; readonly size: number } | null;
  /** Type number. */
  readonly type: number;
}

/** The type information a kernel carries about itself. */
export class Btf {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #strings: number;
  /** Byte offset of each type; type 0 is void. */
  readonly #types: number[] = [0];
  readonly #structs = new Map<string, number>();

  /** @param bytes from the header on. @throws RangeError if a type is of a kind that is not known */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [typeOffset, typeLength, stringOffset] = [8, 12, 16].map((at) => this.#u32(at)) as [number, number, number];
    this.#strings = HEADER + stringOffset;
    const end = HEADER + typeOffset + typeLength;
    for (let at = HEADER + typeOffset; at < end; ) {
      const id = this.#types.length;
      this.#types.push(at);
      const info = this.#u32(at + 4);
      const kind = (info >>> 24) & 31;
      if ((kind === Kind.Struct || kind === Kind.Union) && this.#u32(at) !== 0) {
        const name = this.#string(this.#u32(at));
        if (!this.#structs.has(name)) this.#structs.set(name, id);
      }
      at += 12 + extra(kind, info & 0xffff);
    }
  }

  /** Number of types. */
  get size(): number {
    return this.#types.length - 1;
  }

  /** Bytes of a structure; null if there is none of that name. */
  sizeOf(name: string): number | null {
    const id = this.#structs.get(name);
    return id === undefined ? null : this.#u32((this.#types[id] as number) + 8);
  }

  /** A member by its path ("se.avg.load_sum"), through structures without a name; null if there is none. */
  member(struct: string, path: string): Member | null {
    let type = this.#structs.get(struct);
    let found: Member | null = null;
    let base = 0;
    for (const name of path.split(".")) {
      if (type === undefined) return null;
      found = this.#find(this.#resolve(type), name, base);
      if (found === null) return null;
      base = found.offset;
      type = found.type;
    }
    return found;
  }

  #find(id: number, name: string, base: number): Member | null {
    const at = this.#types[id] as number;
    const info = this.#u32(at + 4);
    const kind = (info >>> 24) & 31;
    if (kind !== Kind.Struct && kind !== Kind.Union) return null;
    for (let k = 0; k < (info & 0xffff); k++) {
      const member = at + 12 + 12 * k;
      const nameOffset = this.#u32(member);
      const type = this.#u32(member + 4);
      const place = this.#u32(member + 8);
      const bit = info >>> 31 === 0 ? place : place & 0xffffff;
      const size = info >>> 31 === 0 ? 0 : place >>> 24;
      if (nameOffset === 0) {
        const inner = this.#find(this.#resolve(type), name, base + (bit >>> 3));
        if (inner !== null) return inner;
      } else if (this.#string(nameOffset) === name) {
        return { offset: base + (bit >>> 3), bits: size === 0 ? null : { shift: bit & 7, size }, type };
      }
    }
    return null;
  }

  /** Through typedefs and qualifiers. */
  #resolve(id: number): number {
    for (let current = id; ; ) {
      const at = this.#types[current] ?? 0;
      const kind = at === 0 ? 0 : (this.#u32(at + 4) >>> 24) & 31;
      const through = [Kind.Typedef, Kind.Volatile, Kind.Const, Kind.Restrict, Kind.TypeTag].includes(kind);
      if (!through) return current;
      current = this.#u32(at + 8);
    }
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  #string(offset: number): string {
    return cString(this.#bytes, this.#strings + offset);
  }
}

/** Bytes behind a type of `kind` with `n` members. */
function extra(kind: Kind, n: number): number {
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
      return 12 * n;
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
      throw new RangeError(`BTF kind ${String(kind)} is not known`);
  }
}

/** Finds the type information in a kernel's read-only data; null if it has none (CONFIG_DEBUG_INFO_BTF). */
export function findBtf(image: Uint8Array): Btf | null {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  for (let at = find(image, MAGIC); at >= 0; at = find(image, MAGIC, at + 1)) {
    if (at + HEADER > image.length) return null;
    const size = HEADER + view.getUint32(at + 16, true) + view.getUint32(at + 20, true);
    // The kernel's own has tens of thousands of types; modules' and programs' are small.
    if (size > 0x10000 && at + size <= image.length) return new Btf(image.subarray(at, at + size));
  }
  return null;
}

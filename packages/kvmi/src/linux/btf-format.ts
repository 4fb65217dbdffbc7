import { BtfError } from "./errors.js";
import type { Work } from "./work.js";

/** btf_header has so many bytes, magic and version 1 in front (linux, Documentation/bpf/btf.rst). */
export const HEADER = 24;
/** btf_type. */
export const TYPE = 12;
/** btf_member. */
export const MEMBER = 12;
/** Bytes of a kernel's own, at most. */
const MOST = 16 << 20;
/** Types between two stops. */
const STRETCH = 8192;

export enum Kind {
  Void = 0,
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
export const LINKS: ReadonlySet<number> = new Set([
  Kind.Typedef,
  Kind.Volatile,
  Kind.Const,
  Kind.Restrict,
  Kind.TypeTag,
]);

/** What lies where in type information. */
export interface Index {
  /** Byte offset of each type; type 0 is void. */
  readonly types: readonly number[];
  /** Numbers of the structures and unions that have a name. */
  readonly named: readonly number[];
  /** Numbers of the functions. */
  readonly functions: readonly number[];
  /** Strings, as byte offsets `[start, end)`. */
  readonly strings: { readonly start: number; readonly end: number };
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
export const kindOf = (info: number): Kind => (info >>> 24) & 31;

/** Goes through all types once. @throws {BtfError} */
export function* indexTypes(bytes: Uint8Array): Work<Index> {
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
  const functions: number[] = [];
  for (let at = start; at < end; ) {
    const id = types.length;
    const info = at + TYPE <= end ? view.getUint32(at + 4, true) : 0;
    const kind = kindOf(info);
    const size = TYPE + extra(kind, info & 0xffff, id);
    if (at + size > end) throw new BtfError(`type ${id} ends at ${at + size}, behind all types, ${end}`);
    types.push(at);
    if ((kind === Kind.Struct || kind === Kind.Union) && view.getUint32(at, true) !== 0) named.push(id);
    if (kind === Kind.Func) functions.push(id);
    at += size;
    if (id % STRETCH === 0) yield;
  }
  return { types, named, functions, strings };
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

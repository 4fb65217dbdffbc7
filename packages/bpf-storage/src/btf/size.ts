import { BpfError } from "../errors.js";
import { type Btf, MOST_LINKS } from "./btf.js";
import { BtfKind, isModifier, kindName } from "./kinds.js";

/** Bytes of a pointer: programs are of 64 bits whatever runs them. */
const POINTER = 8;
const MOST_SIZE = 0xffffffff;

/**
 * Bytes of a type, through typedefs, qualifiers and arrays.
 * @throws {BpfError} EINVAL for a type without size (void, a function, a forward declaration), E2BIG for 4 GB and more
 */
export function sizeOf(btf: Btf, id: number): number {
  let elements = 1;
  let current = id;
  for (let links = 0; links <= MOST_LINKS; links++) {
    const kind = btf.kind(current);
    if (isModifier(kind) || kind === BtfKind.Var || kind === BtfKind.DeclTag) {
      current = btf.target(current);
      continue;
    }
    const type = btf.type(current);
    if (type.kind === BtfKind.Array) {
      elements *= type.count;
      current = type.type;
      if (elements > MOST_SIZE) throw new BpfError("E2BIG", `type ${id} has more than 4 GB`);
      continue;
    }
    const size = type.kind === BtfKind.Ptr ? POINTER : "size" in type ? type.size : null;
    if (size === null) throw new BpfError("EINVAL", `type ${id} is a ${kindName(kind)}, which has no size`);
    if (elements * size > MOST_SIZE) throw new BpfError("E2BIG", `type ${id} has more than 4 GB`);
    return elements * size;
  }
  throw new BpfError("EINVAL", `type ${id} leads through more than ${MOST_LINKS} others`);
}

/**
 * Bytes that a type is aligned to: 1, 2, 4 or 8. A structure with a member that is not aligned is packed: 1.
 * @throws {BpfError} EINVAL for a type without size
 */
export const alignOf = (btf: Btf, id: number): number => align(btf, id, new Map(), 0);

function align(btf: Btf, id: number, known: Map<number, number>, depth: number): number {
  const seen = known.get(id);
  if (seen !== undefined) return seen;
  if (depth > MOST_LINKS) throw new BpfError("EINVAL", `type ${id} is more than ${MOST_LINKS} others deep`);
  const type = btf.resolved(id);
  let result = 1;
  switch (type.kind) {
    case BtfKind.Int:
    case BtfKind.Enum:
    case BtfKind.Enum64:
    case BtfKind.Float:
      result = Math.min(POINTER, type.size);
      break;
    case BtfKind.Ptr:
      result = POINTER;
      break;
    case BtfKind.Array:
      result = align(btf, type.type, known, depth + 1);
      break;
    case BtfKind.Struct:
    case BtfKind.Union:
      for (const member of type.members) {
        const own = align(btf, member.type, known, depth + 1);
        if (member.bitSize === 0 && member.bitOffset % (8 * own) !== 0) return 1;
        result = Math.max(result, own);
      }
      if (type.size % result !== 0) result = 1;
      break;
    default:
      throw new BpfError("EINVAL", `type ${id} is a ${kindName(btf.kind(type.id))}, which has no alignment`);
  }
  known.set(id, result);
  return result;
}

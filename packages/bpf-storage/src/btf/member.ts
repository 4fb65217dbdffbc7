import { BpfError } from "../errors.js";
import { type Btf, MOST_LINKS } from "./btf.js";
import { BtfKind } from "./kinds.js";
import type { BtfMember } from "./types.js";

/** A member, from where the search began. */
export interface FoundMember {
  /** Bits from the start of the structure that was searched. */
  readonly bitOffset: number;
  /** Bits of a bit field; 0: it is none. */
  readonly bitSize: number;
  readonly type: number;
}

/**
 * A member by its path (`se.avg.load_sum`, `comm`), also through structures and unions without a name.
 * @param id a structure or union, or what leads to one
 * @returns null if there is none
 * @throws {BpfError} EINVAL for types that lead nowhere or are nested without end
 */
export function findMember(btf: Btf, id: number, path: string): FoundMember | null {
  let found: FoundMember = { bitOffset: 0, bitSize: 0, type: id };
  for (const name of path.split(".")) {
    const member = search(btf, found.type, name, new Set(), 0);
    if (member === null) return null;
    found = { ...member, bitOffset: found.bitOffset + member.bitOffset };
  }
  return found;
}

/** @param searched structures that have no such member, wherever they are met again */
function search(btf: Btf, id: number, name: string, searched: Set<number>, depth: number): FoundMember | null {
  const type = btf.resolved(id);
  if ((type.kind !== BtfKind.Struct && type.kind !== BtfKind.Union) || searched.has(type.id)) return null;
  if (depth > MOST_LINKS) throw new BpfError("EINVAL", `type ${id} is more than ${MOST_LINKS} structures deep`);
  searched.add(type.id);
  for (const member of type.members) {
    const found = member.name === "" ? search(btf, member.type, name, searched, depth + 1) : own(member, name);
    if (found !== null) return member.name === "" ? { ...found, bitOffset: found.bitOffset + member.bitOffset } : found;
  }
  return null;
}

const own = ({ name, bitOffset, bitSize, type }: BtfMember, wanted: string): FoundMember | null =>
  name === wanted ? { bitOffset, bitSize, type } : null;

import type { Btf } from "../../btf/btf.js";
import { describeType } from "../../btf/describe.js";
import { BtfKind } from "../../btf/kinds.js";
import { sizeOf } from "../../btf/size.js";
import type { BtfArray, BtfEnum, BtfType } from "../../btf/types.js";
import type { CoreRelocation } from "../btf-ext.js";
import { ObjectError } from "../errors.js";
import { type CoreKind, coreKindName, isCoreKind, isEnumKind, isTypeKind } from "./kinds.js";

/** Numbers in an access, and structures within structures (BPF_CORE_SPEC_MAX_LEN). */
export const MOST_ACCESSES = 64;
/** Bits up to a field; what is beyond is in no structure. */
const MOST_BITS = 2 ** 35;

/** A step on the way to a field: a member that has a name, or an element of an array. */
export interface Accessor {
  /** The structure of the member, or the type of the element. */
  readonly type: number;
  /** Of the member, the element or the enumerator. */
  readonly index: number;
  /** Of the member or enumerator; null for an element. */
  readonly name: string | null;
}

/** What a relocation is about, in the object's types or in the kernel's. */
export interface Spec {
  readonly btf: Btf;
  readonly kind: CoreKind;
  readonly root: number;
  /** The first is the object itself, as element of a pointer. Empty for relocations of types. */
  readonly accessors: readonly Accessor[];
  /** Bits from the start of the root. */
  readonly bitOffset: number;
}

export const isEnum = (type: BtfType): type is BtfEnum => type.kind === BtfKind.Enum || type.kind === BtfKind.Enum64;

/** Whether an array has as many elements as are there: without size, at the end of its structure. */
export function isFlexible(btf: Btf, before: Accessor | undefined, array: BtfArray): boolean {
  return (
    array.count === 0 && before !== undefined && before.name !== null && before.index === btf.elements(before.type) - 1
  );
}

/**
 * What a relocation says, in the types of the object that it is in.
 * @throws {ObjectError} core if it makes no sense; {BpfError} for types that lead nowhere
 */
export function parseSpec(btf: Btf, { type: root, access, kind }: CoreRelocation): Spec {
  const refuse = (why: string): never => {
    throw new ObjectError("core", `${coreKindName(kind)} of ${describeType(btf, root)} + ${access}: ${why}`);
  };
  if (!isCoreKind(kind)) return refuse("this kind of relocation is newer than the loader");
  if (isTypeKind(kind)) {
    if (access !== "0") refuse("a type has no members to access: expected 0");
    return { btf, kind, root, accessors: [], bitOffset: 0 };
  }
  const indices = access
    .split(":")
    .map((text) => (/^\d{1,10}$/.test(text) ? Number(text) : refuse("expected numbers")));
  if (indices.length > MOST_ACCESSES) refuse(`more than ${MOST_ACCESSES} numbers`);
  const [first = 0, ...rest] = indices;
  let type = btf.resolved(root);
  if (isEnumKind(kind)) {
    const value = isEnum(type) && rest.length === 0 ? type.values[first] : undefined;
    if (value === undefined) return refuse("no such name in an enumeration");
    return { btf, kind, root, accessors: [{ type: type.id, index: first, name: value.name }], bitOffset: 0 };
  }
  const accessors: Accessor[] = [{ type: type.id, index: first, name: null }];
  let bitOffset = 8 * first * sizeOf(btf, type.id);
  for (const index of rest) {
    if (type.kind === BtfKind.Struct || type.kind === BtfKind.Union) {
      const member = type.members[index] ?? refuse(`${describeType(btf, type.id)} has ${type.members.length} members`);
      bitOffset += member.bitOffset;
      if (member.name !== "") accessors.push({ type: type.id, index, name: member.name });
      type = btf.resolved(member.type);
    } else if (type.kind === BtfKind.Array) {
      if (index >= type.count && !isFlexible(btf, accessors.at(-1), type))
        refuse(`an array has ${type.count} elements`);
      type = btf.resolved(type.type);
      accessors.push({ type: type.id, index, name: null });
      bitOffset += 8 * index * sizeOf(btf, type.id);
    } else refuse(`${describeType(btf, type.id)} has neither members nor elements`);
    if (bitOffset > MOST_BITS) refuse("it is beyond 4 GB");
  }
  return { btf, kind, root, accessors, bitOffset };
}

/** What is accessed, as C would write it: `struct task_struct.pid`, `struct s[1].a[3]`. */
export function describeSpec({ btf, kind, root, accessors }: Spec): string {
  const type = describeType(btf, root);
  if (isEnumKind(kind)) return `${type}::${accessors[0]?.name ?? ""}`;
  const steps = accessors.map(({ name, index }, k) =>
    name !== null ? `.${name}` : k === 0 && index === 0 ? "" : `[${index}]`,
  );
  return type + steps.join("");
}

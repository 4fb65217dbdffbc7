import { BtfKind, IntEncoding } from "../../btf/kinds.js";
import { essentialName } from "../../btf/names.js";
import type { BtfComposite, BtfEnum } from "../../btf/types.js";
import { ObjectError } from "../errors.js";
import type { Pair } from "./compatible.js";
import { isEnum } from "./spec.js";

/** Types one behind another, and members within members. */
const MOST_DEPTH = 32;

const sameName = (a: string, b: string): boolean => essentialName(a) === essentialName(b);

/**
 * Whether a type is made as the object's is (BPF_CORE_TYPE_MATCHES), typedefs and qualifiers aside: integers of the same
 * size and sign; all the members of a structure with the same names and types, but behind a pointer only the name of the
 * structure; all the names of an enumeration, whatever their values; functions of the same parameters.
 * @throws {ObjectError} core; {BpfError} for types that lead nowhere
 */
export function typesMatch(
  pair: Pair,
  localId: number,
  targetId: number,
  behindPointer = false,
  level = MOST_DEPTH,
): boolean {
  const tooDeep = (): never => {
    throw new ObjectError("core", `types ${localId} and ${targetId} are more than ${MOST_DEPTH} others deep`);
  };
  if (level <= 0) return tooDeep();
  const { local, target, budget } = pair;
  let behind = behindPointer;
  for (let depth = 0, a = localId, b = targetId; depth < MOST_DEPTH; depth++) {
    budget.spend();
    const [one, other] = [local.resolved(a), target.resolved(b)];
    if (!sameName(one.name, other.name)) return false;
    switch (one.kind) {
      case BtfKind.Void:
        return other.kind === BtfKind.Void;
      case BtfKind.Fwd:
        if (other.kind === BtfKind.Fwd) return one.union === other.union;
        return behind && other.kind === (one.union ? BtfKind.Union : BtfKind.Struct);
      case BtfKind.Enum:
      case BtfKind.Enum64:
        return isEnum(other) && enumsMatch(pair, one, other);
      case BtfKind.Struct:
      case BtfKind.Union:
        if (behind && other.kind === BtfKind.Fwd) return other.union === (one.kind === BtfKind.Union);
        if (other.kind !== one.kind) return false;
        return behind || compositesMatch(pair, one, other, level);
      case BtfKind.Int:
        return (
          other.kind === BtfKind.Int &&
          one.size === other.size &&
          ((one.encoding ^ other.encoding) & IntEncoding.Signed) === 0
        );
      case BtfKind.Ptr:
        if (other.kind !== BtfKind.Ptr) return false;
        behind = true;
        [a, b] = [one.type, other.type];
        break;
      case BtfKind.Array:
        if (other.kind !== BtfKind.Array || one.count !== other.count) return false;
        [a, b] = [one.type, other.type];
        break;
      case BtfKind.FuncProto: {
        if (other.kind !== BtfKind.FuncProto || one.params.length !== other.params.length) return false;
        const same = one.params.every(({ type }, k) =>
          typesMatch(pair, type, other.params[k]?.type ?? 0, behind, level - 1),
        );
        if (!same) return false;
        [a, b] = [one.type, other.type];
        break;
      }
      default:
        return false;
    }
  }
  return tooDeep();
}

/** Whether the kernel's has all the names of the object's. */
function enumsMatch({ budget }: Pair, local: BtfEnum, target: BtfEnum): boolean {
  if (local.size !== target.size || local.values.length > target.values.length) return false;
  budget.spend(local.values.length + target.values.length);
  const names = new Set(target.values.map(({ name }) => essentialName(name)));
  return local.values.every(({ name }) => names.has(essentialName(name)));
}

/** Whether the kernel's has all the members of the object's. */
function compositesMatch(pair: Pair, local: BtfComposite, target: BtfComposite, level: number): boolean {
  if (local.members.length > target.members.length) return false;
  pair.budget.spend(local.members.length + target.members.length);
  const byName = new Map<string, number[]>();
  for (const { name, type } of target.members) {
    const types = byName.get(essentialName(name));
    if (types === undefined) byName.set(essentialName(name), [type]);
    else types.push(type);
  }
  return local.members.every(({ name, type }) =>
    (byName.get(essentialName(name)) ?? []).some((other) => typesMatch(pair, type, other, false, level - 1)),
  );
}

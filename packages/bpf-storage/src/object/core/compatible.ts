import type { Btf } from "../../btf/btf.js";
import { BtfKind } from "../../btf/kinds.js";
import { essentialName } from "../../btf/names.js";
import type { BtfType } from "../../btf/types.js";
import { ObjectError } from "../errors.js";
import type { Budget } from "./budget.js";

/** Types one behind another. */
const MOST_DEPTH = 32;

/** Two types, one of the object and one of the kernel. */
export interface Pair {
  readonly local: Btf;
  readonly target: Btf;
  readonly budget: Budget;
}

/** Whether the kinds are the same; enumerations of 32 and of 64 bits are. */
export function sameKind(a: number, b: number): boolean {
  const plain = (kind: number): number => (kind === BtfKind.Enum64 ? BtfKind.Enum : kind);
  return plain(a) === plain(b);
}

const isComposite = ({ kind }: BtfType): boolean => kind === BtfKind.Struct || kind === BtfKind.Union;

/** Whether an integer starts at its first bit: others are bit fields of old compilers. */
const isWhole = (type: BtfType): boolean => type.kind !== BtfKind.Int || type.bitOffset === 0;

/**
 * Whether a field of one type can be read as the other: structures are all alike, as are pointers, floats and integers;
 * enumerations and forward declarations if their names are, without flavour, or one has none; arrays by their elements.
 * @throws {ObjectError} core; {BpfError} for types that lead nowhere
 */
export function fieldsCompatible({ local, target, budget }: Pair, localId: number, targetId: number): boolean {
  for (let depth = 0, a = localId, b = targetId; depth <= MOST_DEPTH; depth++) {
    budget.spend();
    const [one, other] = [local.resolved(a), target.resolved(b)];
    if (isComposite(one) && isComposite(other)) return true;
    if (!sameKind(one.kind, other.kind)) return false;
    switch (one.kind) {
      case BtfKind.Ptr:
      case BtfKind.Float:
        return true;
      case BtfKind.Fwd:
      case BtfKind.Enum:
      case BtfKind.Enum64: {
        const [name, wanted] = [essentialName(one.name), essentialName(other.name)];
        return name === "" || wanted === "" || name === wanted;
      }
      case BtfKind.Int:
        return isWhole(one) && isWhole(other);
      case BtfKind.Array:
        if (other.kind !== BtfKind.Array) return false;
        [a, b] = [one.type, other.type];
        break;
      default:
        return false;
    }
  }
  throw new ObjectError("core", `types ${localId} and ${targetId} are more than ${MOST_DEPTH} others deep`);
}

/**
 * Whether a type is there, whatever it is made of: kinds have to be the same; of pointers, arrays and functions those
 * of what they are made of. Names have been compared before, and only those of the types themselves.
 * @throws {ObjectError} core; {BpfError} for types that lead nowhere
 */
export function typesCompatible(pair: Pair, localId: number, targetId: number, level = MOST_DEPTH): boolean {
  const { local, target, budget } = pair;
  if (!sameKind(local.kind(localId), target.kind(targetId))) return false;
  for (let depth = 0, a = localId, b = targetId; depth < MOST_DEPTH; depth++) {
    budget.spend();
    const [one, other] = [local.resolved(a), target.resolved(b)];
    if (!sameKind(one.kind, other.kind)) return false;
    switch (one.kind) {
      case BtfKind.Void:
      case BtfKind.Struct:
      case BtfKind.Union:
      case BtfKind.Enum:
      case BtfKind.Enum64:
      case BtfKind.Fwd:
        return true;
      case BtfKind.Int:
        return isWhole(one) && isWhole(other);
      case BtfKind.Ptr:
      case BtfKind.Array:
        if (other.kind !== one.kind) return false;
        [a, b] = [one.type, other.type];
        break;
      case BtfKind.FuncProto: {
        if (other.kind !== BtfKind.FuncProto || one.params.length !== other.params.length) return false;
        if (level <= 0 && one.params.length > 0)
          throw new ObjectError("core", `functions ${localId} and ${targetId} are more than ${MOST_DEPTH} others deep`);
        const same = one.params.every(({ type }, k) =>
          typesCompatible(pair, local.resolve(type), target.resolve(other.params[k]?.type ?? 0), level - 1),
        );
        if (!same) return false;
        [a, b] = [one.type, other.type];
        break;
      }
      default:
        return false;
    }
  }
  throw new ObjectError("core", `types ${localId} and ${targetId} are more than ${MOST_DEPTH} others deep`);
}

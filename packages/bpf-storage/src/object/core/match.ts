import { BtfKind } from "../../btf/kinds.js";
import { essentialName } from "../../btf/names.js";
import { sizeOf } from "../../btf/size.js";
import { ObjectError } from "../errors.js";
import { fieldsCompatible, type Pair, typesCompatible } from "./compatible.js";
import { CoreKind, isEnumKind, isTypeKind } from "./kinds.js";
import { type Accessor, isEnum, isFlexible, MOST_ACCESSES, type Spec } from "./spec.js";
import { typesMatch } from "./type-match.js";

/**
 * What the object's spec is in a type of the kernel: null if that has no such thing.
 * @throws {ObjectError} core, limit; {BpfError} for types that lead nowhere
 */
export function matchSpec(pair: Pair, local: Spec, root: number): Spec | null {
  const { target } = pair;
  const found = (accessors: readonly Accessor[], bitOffset = 0): Spec => ({
    btf: target,
    kind: local.kind,
    root,
    accessors,
    bitOffset,
  });
  if (isTypeKind(local.kind)) {
    const matches = local.kind === CoreKind.TypeMatches ? typesMatch : typesCompatible;
    return matches(pair, local.root, root) ? found([]) : null;
  }
  if (isEnumKind(local.kind)) {
    const type = target.resolved(root);
    const wanted = essentialName(local.accessors[0]?.name ?? "");
    const index = isEnum(type) ? type.values.findIndex(({ name }) => essentialName(name) === wanted) : -1;
    if (!isEnum(type) || index < 0) return null;
    return found([{ type: type.id, index, name: type.values[index]?.name ?? "" }]);
  }
  return new FieldMatch(pair, local).match(root, found);
}

class FieldMatch {
  readonly #accessors: Accessor[] = [];
  /** Members and elements on the way, those of structures without a name too. */
  #depth = 0;
  #bitOffset = 0;

  constructor(
    readonly pair: Pair,
    readonly local: Spec,
  ) {}

  match(root: number, found: (accessors: readonly Accessor[], bitOffset: number) => Spec): Spec | null {
    const { target } = this.pair;
    let id = root;
    for (const [k, accessor] of this.local.accessors.entries()) {
      const type = target.resolved(id);
      if (accessor.name !== null) {
        const next = this.#member(accessor, type.id);
        if (next === null) return null;
        id = next;
        continue;
      }
      id = type.id;
      if (k > 0) {
        if (type.kind !== BtfKind.Array) return null;
        if (accessor.index >= type.count && !isFlexible(target, this.#accessors.at(-1), type)) return null;
        id = target.resolve(type.type);
      }
      this.#enter();
      this.#accessors.push({ type: id, index: accessor.index, name: null });
      this.#bitOffset += 8 * accessor.index * sizeOf(target, id);
    }
    return found(this.#accessors, this.#bitOffset);
  }

  #enter(): void {
    if (this.#depth === MOST_ACCESSES)
      throw new ObjectError(
        "core",
        `${this.local.accessors.at(-1)?.name}: more than ${MOST_ACCESSES} structures deep in the kernel`,
      );
    this.#depth++;
  }

  /**
   * Looks for the member of that name, also in structures without one.
   * @returns its type; null if there is none, or the one there is has another type
   */
  #member(accessor: Accessor, id: number): number | null {
    const { target, budget } = this.pair;
    const type = target.resolved(id);
    if (type.kind !== BtfKind.Struct && type.kind !== BtfKind.Union) return null;
    budget.spend(type.members.length);
    for (const [index, member] of type.members.entries()) {
      if (member.name !== "" && member.name !== accessor.name) continue;
      const [depth, offset] = [this.#depth, this.#bitOffset];
      this.#enter();
      this.#bitOffset += member.bitOffset;
      if (member.name !== "") {
        if (!fieldsCompatible(this.pair, this.#localType(accessor), member.type)) return null;
        this.#accessors.push({ type: type.id, index, name: member.name });
        return member.type;
      }
      const inner = this.#member(accessor, member.type);
      if (inner !== null) return inner;
      [this.#depth, this.#bitOffset] = [depth, offset];
    }
    return null;
  }

  #localType({ type, index }: Accessor): number {
    const struct = this.pair.local.type(type);
    return struct.kind === BtfKind.Struct || struct.kind === BtfKind.Union ? (struct.members[index]?.type ?? 0) : 0;
  }
}

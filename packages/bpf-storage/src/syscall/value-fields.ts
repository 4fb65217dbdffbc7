import type { Btf } from "../btf/btf.js";
import { BtfKind } from "../btf/kinds.js";
import type { BtfComposite, BtfDatasec, BtfType } from "../btf/types.js";
import { BpfError } from "../errors.js";
import type { Generation } from "../storage/storage-helpers.js";
import type { MapField } from "../verifier/request.js";
import type { BtfObject } from "./btf-object.js";

type Kind = MapField["kind"];

/** What a field is by the name of its type: bytes, and what it is aligned to. */
interface Named {
  readonly kind: Kind;
  readonly size: number;
  readonly align: number;
  /** A value may have several. */
  readonly many?: boolean;
}

const LOCK: Named = { kind: "bpf_spin_lock", size: 4, align: 4 };
const TIMER: Named = { kind: "bpf_timer", size: 16, align: 8 };
const POINTER_BYTES = 8;

/** `btf_get_field_type`, kernel/bpf/btf.c of 6.12. */
const NAMED: ReadonlyMap<string, Named> = new Map([
  ["bpf_spin_lock", LOCK],
  ["bpf_timer", TIMER],
  ["bpf_wq", { kind: "bpf_wq", size: 16, align: 8 }],
  ["bpf_list_head", { kind: "bpf_list_head", size: 16, align: 8, many: true }],
  ["bpf_rb_root", { kind: "bpf_rb_root", size: 16, align: 8, many: true }],
  ["bpf_refcount", { kind: "bpf_refcount", size: 4, align: 4 }],
]);
/** Nodes that lists and trees in values are of. */
const NODES: Partial<Record<Kind, string>> = { bpf_list_head: "bpf_list_node", bpf_rb_root: "bpf_rb_node" };

/** Tags of pointers to objects of the kernel. */
const TAGS: Readonly<Record<Generation, ReadonlyMap<string, Kind>>> = {
  "6.1": new Map([
    ["kptr", "kptr_unref"],
    ["kptr_ref", "kptr_ref"],
  ]),
  "6.12": new Map([
    ["kptr_untrusted", "kptr_unref"],
    ["kptr", "kptr_ref"],
    ["percpu_kptr", "kptr_percpu"],
  ]),
};

/** Structures of the kernel that a map may own (`register_btf_id_dtor_kfuncs`). */
const OWNED: Readonly<Record<Generation, ReadonlySet<string>>> = {
  "6.1": new Set(["prog_test_ref_kfunc", "prog_test_member"]),
  "6.12": new Set([
    ...["task_struct", "cgroup", "bpf_cpumask", "bpf_crypto_ctx", "prog_test_ref_kfunc", "prog_test_member"],
  ]),
};

/** Fields of a value at most (`BTF_FIELDS_MAX`, `BPF_MAP_VALUE_OFF_MAX`), and types that are followed (`MAX_RESOLVE_DEPTH`). */
const FIELDS_MOST = 11;
const POINTERS_MOST = 8;
const MOST_DEPTH = 32;

const refuse = (why: string): never => {
  throw new BpfError("EINVAL", why);
};

/**
 * What the type of a map's value says it holds besides plain bytes, by rising offset, as a generation looks for it (`btf_parse_fields`; of 6.1
 * `btf_find_spin_lock`, `btf_find_timer` and `btf_parse_kptrs`). Types that it cannot make sense of hold nothing: the map is made nevertheless.
 */
export function valueFields(
  object: BtfObject,
  type: number,
  generation: Generation,
  kernel: BtfObject | null,
): readonly MapField[] {
  const value = object.btf.type(type);
  if (value.kind !== BtfKind.Struct && value.kind !== BtfKind.Union && value.kind !== BtfKind.Datasec) return [];
  const search = new Search(object, generation, kernel);
  const fields = generation === "6.1" ? search.direct(value) : orNone(() => search.all(value));
  return [...fields].sort((a, b) => a.offset - b.offset);
}

function orNone(find: () => readonly MapField[]): readonly MapField[] {
  try {
    return find();
  } catch (error) {
    if (error instanceof BpfError) return [];
    throw error;
  }
}

/** A part of a value: its type, and where it is. */
interface Part {
  readonly type: number;
  readonly offset: number;
  /** Bytes that the section says it has; 0 if that is not said. */
  readonly size: number;
  /** What declares it, and as which member; -1: a variable. */
  readonly owner: number;
  readonly index: number;
}

function partsOf(value: BtfComposite | BtfDatasec, btf: Btf): Part[] {
  if (value.kind === BtfKind.Datasec)
    return value.variables.map(({ type, offset, size }) => ({
      ...{ type: btf.target(type), offset, size, owner: type, index: -1 },
    }));
  return value.members.map(({ type, bitOffset }, index) => ({
    ...{ type, offset: bitOffset / 8, size: 0, owner: value.id, index },
  }));
}

const isStruct = (type: BtfType): type is BtfComposite => type.kind === BtfKind.Struct || type.kind === BtfKind.Union;

class Search {
  readonly #btf: Btf;
  readonly #seen = new Set<Kind>();

  constructor(
    readonly object: BtfObject,
    readonly generation: Generation,
    readonly kernel: BtfObject | null,
  ) {
    this.#btf = object.btf;
  }

  /** Generation 6.1: members themselves, each kind on its own. */
  direct(value: BtfComposite | BtfDatasec): readonly MapField[] {
    const parts = partsOf(value, this.#btf);
    const only = (name: string, named: Named): readonly MapField[] =>
      orNone(() => {
        const found = parts.filter(({ type, size, offset }) => {
          const field = this.#btf.type(type);
          if (field.name !== name || (size !== 0 && size !== named.size)) return false;
          if (!(offset % named.align === 0)) refuse(`${name} at ${offset}`);
          return isStruct(field) && field.size === named.size;
        });
        if (found.length > 1) throw new BpfError("E2BIG", `${found.length} of ${name}: expected one`);
        return found.map(({ offset }) => ({ kind: named.kind, offset, size: named.size }));
      });
    const pointers = orNone(() => {
      const found = parts.flatMap(({ type, size, offset }) => {
        if (size !== 0 && size !== POINTER_BYTES) return [];
        if (!(offset % POINTER_BYTES === 0)) refuse(`a member at ${offset}`);
        return this.#pointer(this.#btf.type(type), offset) ?? [];
      });
      return found.length > POINTERS_MOST ? refuse(`${found.length} pointers`) : found;
    });
    return [...only("bpf_spin_lock", LOCK), ...only("bpf_timer", TIMER), ...pointers];
  }

  /** Generation 6.12: members of members and of arrays as well. @throws {BpfError} if the kernel gives up on the type */
  all(value: BtfComposite | BtfDatasec): readonly MapField[] {
    const fields = this.#within(value, 0);
    let end = 0;
    for (const { offset, size } of fields) {
      if (offset < end) throw new BpfError("EEXIST", `two fields at ${offset}`);
      end = offset + size;
    }
    const owns = fields.some(({ kind }) => NODES[kind] !== undefined);
    if (owns && !this.#seen.has("bpf_spin_lock")) refuse("a list or a tree without a lock");
    return fields;
  }

  #within(value: BtfComposite | BtfDatasec, depth: number): MapField[] {
    if (depth >= MOST_DEPTH) throw new BpfError("E2BIG", `structures ${depth} deep`);
    const fields: MapField[] = [];
    for (const part of partsOf(value, this.#btf)) {
      if (part.offset % 1 !== 0) refuse(`a member at ${part.offset}`);
      fields.push(...this.#field(part, depth));
      if (fields.length > FIELDS_MOST) throw new BpfError("E2BIG", `more than ${FIELDS_MOST} fields`);
    }
    return fields;
  }

  #field(part: Part, depth: number): MapField[] {
    let type = this.#btf.type(part.type);
    let count = 1;
    for (let k = 0; type.kind === BtfKind.Array; k++) {
      if (k === MOST_DEPTH) throw new BpfError("E2BIG", `arrays ${k} deep`);
      count *= type.count;
      type = this.#btf.type(type.type);
    }
    if (count === 0) return [];
    const named = this.#named(type);
    if (named === null) {
      if (!isStruct(type) || (part.size !== 0 && part.size !== type.size * count)) return [];
      const inner = this.#within(type, depth + 1);
      return repeated(
        inner.map((field) => ({ ...field, offset: field.offset + part.offset })),
        count,
        type.size,
      );
    }
    if (part.size !== 0 && part.size !== named.size * count) return [];
    if (part.offset % named.align !== 0) return [];
    const field = this.#special(named, type, part);
    return field === null ? [] : repeated([field], count, named.size);
  }

  /** By its name; null for what is looked into, or has nothing special. */
  #named(type: BtfType): Named | null {
    const named = NAMED.get(type.name);
    if (named === undefined) return isStruct(type) ? null : { kind: "kptr_ref", size: POINTER_BYTES, align: 8 };
    if (named.many !== true && this.#seen.has(named.kind)) throw new BpfError("E2BIG", `two of ${type.name}`);
    this.#seen.add(named.kind);
    return named;
  }

  #special(named: Named, type: BtfType, part: Part): MapField | null {
    if (!NAMED.has(type.name)) return this.#pointer(type, part.offset);
    if (!isStruct(type) || type.size !== named.size) return null;
    const node = NODES[named.kind];
    const contents = node === undefined ? {} : this.#contents(part, node);
    return { kind: named.kind, offset: part.offset, size: named.size, ...contents };
  }

  /** What a list or a tree is of, a tag says: `contains:STRUCT:MEMBER`. @throws {BpfError} EINVAL */
  #contents({ owner, index }: Part, node: string): Pick<MapField, "target" | "nodeOffset"> {
    const [, name = "", memberName = ""] = /^contains:([^:]*):(.+)$/.exec(this.#tag(owner, index) ?? "") ?? [];
    const struct = this.#btf.find(name, BtfKind.Struct);
    const value = struct === null ? null : this.#btf.type(struct);
    if (value === null || !isStruct(value)) throw new BpfError("EINVAL", `no structure in what type ${owner} contains`);
    const member = value.members.find((each) => each.name === memberName);
    if (member === undefined || this.#btf.type(member.type).name !== node)
      return refuse(`${value.name} has no ${node} ${memberName}`);
    return { target: { btf: this.object.shapes, id: value.id }, nodeOffset: member.bitOffset / 8 };
  }

  #tag(owner: number, index: number): string | null {
    for (let id = this.#btf.firstId; id < this.#btf.count; id++) {
      if (this.#btf.kind(id) !== BtfKind.DeclTag) continue;
      const tag = this.#btf.type(id);
      if (tag.kind !== BtfKind.DeclTag || tag.type !== owner || tag.component !== index) continue;
      if (tag.name.startsWith("contains:")) return tag.name;
    }
    return null;
  }

  /** A pointer with a tag that makes it one to an object of the kernel; null for any other type. @throws {BpfError} for tags that mean nothing */
  #pointer(first: BtfType, offset: number): MapField | null {
    const btf = this.#btf;
    const { generation } = this;
    const type = first.kind === BtfKind.Volatile && generation !== "6.1" ? btf.type(first.type) : first;
    const tag = type.kind === BtfKind.Ptr ? btf.type(type.type) : null;
    if (tag?.kind !== BtfKind.TypeTag) return null;
    const kind = TAGS[generation].get(tag.name);
    if (kind === undefined || btf.kind(tag.type) === BtfKind.TypeTag) return refuse(`type tag ${tag.name}`);
    const struct = btf.resolved(tag.type);
    if (!isStruct(struct)) return refuse(`a pointer to type ${tag.type}: expected a structure`);
    return { kind, offset, size: POINTER_BYTES, target: this.#target(kind, struct) };
  }

  #target(kind: Kind, struct: BtfComposite): MapField["target"] & object {
    if (this.kernel === null) return refuse("pointers to objects of a kernel that tells no types");
    const id = this.kernel.btf.find(struct.name, struct.kind);
    if (id === null) {
      if (this.generation === "6.1") throw new BpfError("ENOENT", `the kernel has no ${struct.name}`);
      return { btf: this.object.shapes, id: struct.id };
    }
    if (kind === "kptr_ref" && !OWNED[this.generation].has(struct.name))
      throw new BpfError("ENOENT", `a map cannot own ${struct.name}`);
    return { btf: this.kernel.shapes, id };
  }
}

/** The fields of an array's elements. @throws {BpfError} for what there may be only one of */
function repeated(fields: readonly MapField[], count: number, stride: number): MapField[] {
  if (count === 1 || fields.length === 0) return [...fields];
  if (fields.some(({ kind }) => !kind.startsWith("kptr_") && NODES[kind] === undefined))
    refuse("an array of what there may be only one of");
  if (fields.length * count > FIELDS_MOST) throw new BpfError("E2BIG", `more than ${FIELDS_MOST} fields`);
  return Array.from({ length: count }, (_, k) =>
    fields.map((field) => ({ ...field, offset: field.offset + k * stride })),
  ).flat();
}

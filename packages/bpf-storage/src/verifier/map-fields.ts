import type { VerifierBtf } from "./btf-port.js";
import type { MapField, ObjectField } from "./request.js";

/** What a type says its values hold besides plain bytes: locks, timers, lists, trees, pointers to objects of the kernel. */

type Special<Kind> = Readonly<Record<string, Kind>>;

const SHARED: Special<MapField["kind"]> = {
  bpf_spin_lock: "bpf_spin_lock",
  bpf_list_head: "bpf_list_head",
  bpf_rb_root: "bpf_rb_root",
  bpf_refcount: "bpf_refcount",
};
/** In values of maps. */
const OF_MAPS: Special<MapField["kind"]> = { ...SHARED, bpf_timer: "bpf_timer", bpf_wq: "bpf_wq" };
/** In objects that programs make. */
const OF_OBJECTS: Special<ObjectField["kind"]> = {
  ...SHARED,
  bpf_list_node: "bpf_list_node",
  bpf_rb_node: "bpf_rb_node",
};

/** Tags of pointers, as linux 6.12 reads them; `kptr_ref` is what 6.1 called `kptr`. */
const TAGS: Readonly<Record<string, MapField["kind"]>> = {
  kptr_untrusted: "kptr_unref",
  kptr: "kptr_ref",
  kptr_ref: "kptr_ref",
  percpu_kptr: "kptr_percpu",
};

/** Structs within structs that are followed. */
const MOST_DEPTH = 8;
const MOST_ELEMENTS = 64;

/** What a list or tree with the tag `contains:STRUCT:NODE` consists of. */
const rootOf = (btf: VerifierBtf, tags: readonly string[]): Pick<MapField, "target" | "nodeOffset"> => {
  const [, struct = "", node = ""] = tags.find((tag) => tag.startsWith("contains:"))?.split(":") ?? [];
  const id = btf.structByName(struct);
  const member = id === undefined ? undefined : btf.members(id).find(({ name }) => name === node);
  if (id === undefined || member === undefined) return {};
  return { target: { btf, id }, nodeOffset: member.bitOffset / 8 };
};

/** Most fields of one type (BTF_FIELDS_MAX). */
const MOST_FIELDS = 11;
const ONCE: readonly ObjectField["kind"][] = ["bpf_spin_lock", "bpf_timer", "bpf_wq", "bpf_refcount"];

/** Where the kernel cannot make sense of the fields of a type, values have none. */
const isSound = (fields: readonly ObjectField[]): boolean => {
  const kinds = fields.map(({ kind }) => kind);
  const isRoot = (kind: ObjectField["kind"]): boolean => kind === "bpf_list_head" || kind === "bpf_rb_root";
  const once = ONCE.every((kind) => kinds.filter((each) => each === kind).length <= 1);
  const rooted = !kinds.some(isRoot) || kinds.includes("bpf_spin_lock");
  const contained = fields.every(({ kind, target }) => !isRoot(kind) || target !== undefined);
  return fields.length <= MOST_FIELDS && once && rooted && contained;
};

type Found<Kind> = Omit<MapField, "kind"> & { readonly kind: Kind | MapField["kind"] };

const find = <Kind extends ObjectField["kind"]>(
  btf: VerifierBtf,
  type: number,
  special: Special<Kind>,
  kernel: VerifierBtf | undefined,
  places?: ReadonlyMap<string, number>,
): Found<Kind>[] => {
  const fields: Found<Kind>[] = [];
  const pointer = (to: number, tags: readonly string[], offset: number): void => {
    const kind = tags.map((tag) => TAGS[tag]).find((each) => each !== undefined);
    const pointee = btf.shape(to);
    if (kind === undefined || pointee?.kind !== "struct") return;
    const known = kernel?.structByName(pointee.name);
    const target =
      kernel !== undefined && known !== undefined ? { btf: kernel, id: known } : { btf, id: btf.resolve(to) };
    fields.push({ kind, offset, size: 8, target });
  };
  const visit = (id: number, offset: number, depth: number, tags: readonly string[]): void => {
    const shape = btf.shape(id);
    if (shape?.kind === "array") {
      const element = btf.shape(shape.of);
      const size = element?.kind === "struct" ? element.size : element?.kind === "pointer" ? 8 : 0;
      if (size > 0 && shape.count <= MOST_ELEMENTS)
        for (let k = 0; k < shape.count; k++) visit(shape.of, offset + k * size, depth, tags);
    } else if (shape?.kind === "pointer") pointer(shape.to, shape.tags, offset);
    else if (shape?.kind === "struct") {
      const kind = special[shape.name];
      if (kind !== undefined) {
        const isRoot = kind === "bpf_list_head" || kind === "bpf_rb_root";
        fields.push({ kind, offset, size: shape.size, ...(isRoot ? rootOf(btf, tags) : {}) });
      } else if (depth < MOST_DEPTH) {
        const owner = btf.resolve(id);
        btf.members(id).forEach((member, k) => {
          visit(member.type, offset + member.bitOffset / 8, depth + 1, btf.parameterTags?.(owner, k) ?? []);
        });
      }
    }
  };
  for (const { id, type: of, name } of places === undefined ? [] : (btf.variables?.(type) ?? [])) {
    const offset = places?.get(name);
    if (offset !== undefined) visit(of, offset, 0, btf.parameterTags?.(id, -1) ?? []);
  }
  visit(type, 0, 0, []);
  return isSound(fields) ? fields.sort((a, b) => a.offset - b.offset) : [];
};

/**
 * Fields of a map's value by rising offset. Pointers lead to structs of `kernel` by name; where that has none of the name, to the map's own
 * types. Where the type is a section of variables, `places` says where in the value each is, bytes, by name: compilers leave that to who
 * loads the object.
 */
export const mapFields = (
  btf: VerifierBtf,
  type: number,
  kernel?: VerifierBtf,
  places?: ReadonlyMap<string, number>,
): MapField[] => find(btf, type, OF_MAPS, kernel, places);

/** Fields of a struct of which programs make objects, by rising offset. */
export const objectFields = (btf: VerifierBtf, type: number, kernel?: VerifierBtf): ObjectField[] =>
  find(btf, type, OF_OBJECTS, kernel);

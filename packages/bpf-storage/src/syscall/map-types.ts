import type { Btf } from "../btf/btf.js";
import { BtfKind, isModifier } from "../btf/kinds.js";
import { sizeOf } from "../btf/size.js";
import type { BtfInt, BtfType } from "../btf/types.js";
import { BpfError, type Errno } from "../errors.js";
import type { MapDesc } from "../maps/map.js";
import type { Generation } from "../storage/storage-helpers.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import type { MapField } from "../verifier/request.js";
import type { BtfObject } from "./btf-object.js";
import type { State } from "./state.js";
import { valueFields } from "./value-fields.js";

const ARRAYS: ReadonlySet<number> = new Set([MapType.Array, MapType.PercpuArray]);
const HASHES: ReadonlySet<number> = new Set([
  ...[MapType.Hash, MapType.PercpuHash, MapType.LruHash, MapType.LruPercpuHash],
]);
/** Maps of storage that belongs to objects. */
export const STORAGES: ReadonlySet<number> = new Set([
  ...[MapType.TaskStorage, MapType.InodeStorage, MapType.SkStorage, MapType.CgrpStorage],
]);
/** Kinds whose keys and values have no types (`map_check_no_btf`). */
const UNTYPED: ReadonlySet<number> = new Set([
  ...[MapType.PerfEventArray, MapType.CgroupArray, MapType.ArrayOfMaps, MapType.HashOfMaps],
  ...[MapType.StackTrace, MapType.Devmap, MapType.DevmapHash, MapType.Cpumap, MapType.Sockmap, MapType.Sockhash],
]);
/** Kinds without a check of their own: their keys must have a type. Hash tables have got one for what their values own. */
const KEYED: ReadonlySet<number> = new Set([
  ...[MapType.ProgArray, MapType.Queue, MapType.Stack, MapType.Ringbuf, MapType.UserRingbuf],
]);
const isKeyed = (type: number, generation: Generation): boolean =>
  KEYED.has(type) || (generation === "6.1" && HASHES.has(type));

/** The kinds of maps that may have a kind of field. */
type Holders = ReadonlySet<number>;
const holders = (...kinds: readonly (Iterable<number> | number)[]): Holders =>
  new Set(kinds.flatMap((kind) => (typeof kind === "number" ? [kind] : [...kind])));

const LOCKED = holders(MapType.Hash, MapType.Array, MapType.CgroupStorage, STORAGES);
const TIMED = holders(MapType.Hash, MapType.LruHash, MapType.Array);
const POINTING: Readonly<Record<Generation, Holders>> = {
  "6.1": holders(MapType.Hash, MapType.LruHash, MapType.Array, MapType.PercpuArray),
  "6.12": holders(HASHES, ARRAYS, STORAGES),
};
const KPTR: (generation: Generation) => Holders = (generation) => POINTING[generation];

/** Which maps may have which fields (`map_check_btf`). */
const HOLDERS: Readonly<Record<MapField["kind"], (generation: Generation) => Holders>> = {
  bpf_spin_lock: (generation) =>
    generation === "6.1" ? holders([...LOCKED].filter((kind) => kind !== MapType.CgrpStorage)) : LOCKED,
  bpf_timer: () => TIMED,
  bpf_wq: () => TIMED,
  kptr_unref: KPTR,
  kptr_ref: KPTR,
  kptr_percpu: KPTR,
  bpf_refcount: KPTR,
  bpf_list_head: () => TIMED,
  bpf_rb_root: () => TIMED,
};

const refuse = (code: Errno, why: string): never => {
  throw new BpfError(code, why);
};

/** A type that has a size, and its size: through modifiers and variables, not through tags of declarations (`btf_type_id_size`). */
function sized(btf: Btf, id: number): { readonly type: BtfType; readonly size: number } {
  if (id >= btf.count) refuse("EINVAL", `no type ${id}: there are ${btf.count}`);
  const kind = btf.kind(id);
  if (kind === BtfKind.DeclTag) refuse("EINVAL", `type ${id} is a tag`);
  let at = id;
  while (isModifier(btf.kind(at)) || btf.kind(at) === BtfKind.Var) at = btf.resolve(btf.target(at));
  const type = btf.type(at);
  // The kernel keeps the size of sections as they say it.
  return { type, size: type.kind === BtfKind.Datasec ? type.size : sizeOf(btf, at) };
}

const isWord = (type: BtfType): type is BtfInt => type.kind === BtfKind.Int && type.bits === 32 && type.bitOffset === 0;

/**
 * Whether the types of a map's keys and values are any (`map_check_btf`).
 * @returns what its value holds besides plain bytes
 * @throws {BpfError} EINVAL, ENOTSUPP, EOPNOTSUPP, EACCES, EPERM
 */
export function checkMapTypes(
  state: State,
  desc: MapDesc,
  object: BtfObject,
  keyId: number,
  valueId: number,
): readonly MapField[] {
  const { type } = desc;
  const key = keyId === 0 ? null : sized(object.btf, keyId);
  if (key === null ? isKeyed(type, state.generation) : key.size !== desc.keySize)
    refuse("EINVAL", `keys of type ${keyId}: expected one of ${desc.keySize} bytes`);
  const value = sized(object.btf, valueId);
  if (value.size !== desc.valueSize)
    refuse("EINVAL", `values of type ${valueId}, which has ${value.size} bytes: expected ${desc.valueSize}`);
  const fields = valueFields(object, value.type.id, state.generation, state.kernelBtf);
  checkFields(state, desc, fields);
  checkKinds(desc, key?.type ?? null, value.type);
  return fields;
}

function checkFields(state: State, { type, flags }: MapDesc, fields: readonly MapField[]): void {
  const { generation } = state;
  const old = generation === "6.1";
  const readOnly = (flags & MapFlag.RdonlyProg) !== 0;
  const writeOnly = (flags & MapFlag.WronlyProg) !== 0;
  for (const { kind } of fields) {
    const pointer = kind.startsWith("kptr_");
    if (!old || pointer) state.need("CAP_BPF");
    if (readOnly || (writeOnly && (!old || pointer)))
      refuse("EACCES", `a ${kind} in a map with flags 0x${flags.toString(16)}`);
    if (!HOLDERS[kind](generation).has(type))
      refuse(old && kind === "bpf_spin_lock" ? "ENOTSUPP" : "EOPNOTSUPP", `a ${kind} in a map of type ${type}`);
  }
}

/** What each kind of maps wants of its types. */
function checkKinds({ type, maxEntries }: MapDesc, key: BtfType | null, value: BtfType): void {
  if (UNTYPED.has(type)) refuse("ENOTSUPP", `types of keys and values of a map of type ${type}`);
  if (ARRAYS.has(type) && key === null) {
    // The data of an object: one value, a section.
    if (type !== MapType.Array || maxEntries !== 1 || value.kind !== BtfKind.Datasec)
      refuse("EINVAL", "an array without a type of its keys: expected one of one section");
  } else if ((ARRAYS.has(type) || STORAGES.has(type)) && (key === null || !isWord(key)))
    refuse("EINVAL", "keys of another type than an integer of 32 bits");
  else if (HASHES.has(type) && key === null) refuse("EINVAL", "a hash table without a type of its keys");
  else if (type === MapType.LpmTrie && key?.kind !== BtfKind.Struct)
    refuse("EINVAL", "a trie whose keys are no structure");
  else if (type === MapType.BloomFilter && key !== null) refuse("EINVAL", "a bloom filter whose keys have a type");
}

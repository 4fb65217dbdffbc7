import { BpfError } from "../errors.js";
import type { BpfMap, MapDesc, ValueFields } from "../maps/map.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import type { MapField, VerifierMap } from "../verifier/request.js";
import { MapCreateAttr as At, type Attributes } from "./attributes.js";
import type { Access } from "./file.js";
import { MapObject, type MapTypes } from "./map-object.js";
import { checkMapTypes, STORAGES } from "./map-types.js";
import { describeMap } from "./program-maps.js";
import type { State } from "./state.js";

/** `BPF_F_TOKEN_FD`; there are no tokens here. */
const TOKEN_FD = 1 << 16;
/** Bytes that Linux takes for an element of storage; the largest value is what 16 bits hold with it. */
const STORAGE_MOST = 0xffff - 128;

/** Kinds that a generation does not have. */
const NEWER: ReadonlySet<number> = new Set([MapType.CgrpStorage, MapType.Arena]);
/** Kinds that anybody may make where the system lets anybody make maps; those of networks are for administrators of them, the rest asks for CAP_BPF. */
const ANYBODY: ReadonlySet<number> = new Set([
  ...[MapType.Array, MapType.PercpuArray, MapType.ProgArray, MapType.PerfEventArray, MapType.CgroupArray],
  ...[MapType.ArrayOfMaps, MapType.Hash, MapType.PercpuHash, MapType.HashOfMaps, MapType.Ringbuf],
  ...[MapType.UserRingbuf, MapType.CgroupStorage, MapType.PercpuCgroupStorage],
]);
const NETWORK: ReadonlySet<number> = new Set([
  ...[MapType.Sockmap, MapType.Sockhash, MapType.Devmap, MapType.DevmapHash, MapType.Xskmap],
]);

const refuse = (why: string): never => {
  throw new BpfError("EINVAL", why);
};

/** How a map or a pin is opened by its flags (`bpf_get_file_flag`). @throws {BpfError} EINVAL for read-only and write-only at once */
export function accessOf(flags: number): Access {
  const [readOnly, writeOnly] = [(flags & MapFlag.Rdonly) !== 0, (flags & MapFlag.Wronly) !== 0];
  if (readOnly && writeOnly) refuse("a map that is read-only and write-only at once");
  return { readable: !writeOnly, writable: !readOnly };
}

/** BPF_MAP_CREATE. @returns a descriptor */
export function mapCreate(state: State, attr: Attributes): number {
  const { runtime, generation } = state;
  const type = attr.u32(At.mapType);
  const token = generation !== "6.1" && (attr.u32(At.mapFlags) & TOKEN_FD) !== 0;
  const flags = token ? attr.u32(At.mapFlags) & ~TOKEN_FD : attr.u32(At.mapFlags);
  const [keyId, valueId] = [attr.u32(At.keyTypeId), attr.u32(At.valueTypeId)];
  checkAttributes(attr, type);
  const access = accessOf(flags);
  const numaNode = (flags & MapFlag.NumaNode) !== 0 ? attr.s32(At.numaNode) : -1;
  if (numaNode !== -1 && numaNode !== 0) refuse(`memory of node ${numaNode}: expected 0, or -1 for any`);
  if (generation === "6.1" && NEWER.has(type)) refuse(`a map of type ${type}, which came later`);
  const plain: MapDesc = {
    ...{ type: type as MapType, keySize: attr.u32(At.keySize), valueSize: attr.u32(At.valueSize) },
    ...{ maxEntries: attr.u32(At.maxEntries), flags, name: "", numaNode, extra: attr.u64(At.mapExtra) },
  };
  if (STORAGES.has(type)) checkStorage(plain, keyId, valueId, runtime.storages.has(plain.type));
  if (attr.u32(At.mapIfindex) !== 0) refuse(`device ${attr.u32(At.mapIfindex)}, which takes no maps`);
  if (token) state.token(attr.u32(At.tokenFd));
  checkCaller(state, type, (flags & MapFlag.ZeroSeed) !== 0);
  const rest = attempt(() => ({
    name: attr.name(At.mapName),
    typed: keyId === 0 && valueId === 0 ? null : typesOf(state, attr, plain, keyId, valueId),
  }));
  const made = rest instanceof BpfError ? undefined : rest;
  const { map, inner } = make(state, attr, {
    ...{ ...plain, name: made?.name ?? "" },
    ...(made?.typed ? { fields: plainFields(made.typed.fields) } : {}),
  });
  if (rest instanceof BpfError) {
    runtime.freeMap(map);
    throw rest;
  }
  const { typed } = rest;
  const types = typed === null ? null : { ...typed.types, btf: typed.types.btf.hold() };
  const object = new MapObject(map, state, types, typed?.fields ?? [], inner);
  state.maps.add(object);
  return state.install(object, access);
}

/** What goes wrong late in the kernel, when the map is made already: errors have their order. */
function attempt<T>(look: () => T): T | BpfError {
  try {
    return look();
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
}

function checkAttributes(attr: Attributes, type: number): void {
  const [keyId, valueId] = [attr.u32(At.keyTypeId), attr.u32(At.valueTypeId)];
  if (attr.u32(At.vmlinuxTypeId) !== 0) {
    if (type !== MapType.StructOps || keyId !== 0 || valueId !== 0) refuse("a type of the kernel for values");
  } else if (keyId !== 0 && valueId === 0) refuse("a type of keys without one of values");
  if (type !== MapType.BloomFilter && type !== MapType.Arena && attr.u64(At.mapExtra) !== 0n)
    refuse(`map_extra ${attr.u64(At.mapExtra)} of a map of type ${type}: expected 0`);
}

/** `bpf_local_storage_map_alloc_check`, and where the system has no such owners. @throws {BpfError} EINVAL, E2BIG, EOPNOTSUPP */
function checkStorage(desc: MapDesc, keyId: number, valueId: number, owners: boolean): void {
  const { type, keySize, valueSize, maxEntries, flags } = desc;
  if ((flags & ~MapFlag.Clone) !== MapFlag.NoPrealloc)
    refuse(`flags 0x${flags.toString(16)} of a storage: expected NO_PREALLOC, and CLONE if wanted`);
  if (maxEntries !== 0 || keySize !== 4 || valueSize === 0)
    refuse(
      `a storage with keys of ${keySize} and ${maxEntries} values of ${valueSize} bytes: expected 4, 0, at least 1`,
    );
  if (keyId === 0 || valueId === 0) refuse("a storage without types of its keys and values");
  if (valueSize > STORAGE_MOST)
    throw new BpfError("E2BIG", `values of ${valueSize} bytes: expected at most ${STORAGE_MOST}`);
  if (!owners && type === MapType.InodeStorage)
    throw new BpfError("EOPNOTSUPP", "storage of inodes, which the system does not have");
}

/** @throws {BpfError} EPERM */
function checkCaller(state: State, type: number, zeroSeed: boolean): void {
  if (zeroSeed) state.need("CAP_SYS_ADMIN");
  if (state.host.unprivileged !== true) state.need("CAP_BPF");
  if (NETWORK.has(type)) state.need("CAP_NET_ADMIN");
  else if (!ANYBODY.has(type)) state.need("CAP_BPF");
}

interface Typed {
  readonly types: MapTypes;
  readonly fields: readonly MapField[];
}

function typesOf(state: State, attr: Attributes, desc: MapDesc, key: number, value: number): Typed {
  const btf = state.btf(attr.u32(At.btfFd));
  if (btf.isKernel) throw new BpfError("EACCES", "types of the kernel for keys and values");
  return { types: { btf, key, value }, fields: checkMapTypes(state, desc, btf, key, value) };
}

/** As maps know it: where there is what programs may not touch. */
function plainFields(fields: readonly MapField[]): ValueFields {
  const lock = fields.find(({ kind }) => kind === "bpf_spin_lock");
  const others = fields.filter(({ kind }) => kind !== "bpf_spin_lock");
  return { spinLock: lock?.offset ?? null, ...(others.length === 0 ? {} : { others }) };
}

/** Makes the map; of a map of maps with one that shows what it holds, which is looked for when all else is found good. */
function make(
  state: State,
  attr: Attributes,
  desc: MapDesc,
): { readonly map: BpfMap; readonly inner: VerifierMap | null } {
  const { runtime } = state;
  if (desc.type !== MapType.ArrayOfMaps && desc.type !== MapType.HashOfMaps)
    return { map: runtime.createMap(desc), inner: null };
  const inner = attempt(() => state.map(attr.u32(At.innerMapFd)).object);
  if (!(inner instanceof BpfError)) {
    const map = runtime.createMap({ ...desc, inner: inner.map });
    if (state.generation !== "6.1" || !inner.hasLock) return { map, inner: describeMap(inner) };
    runtime.freeMap(map);
    throw new BpfError("ENOTSUPP", "maps with locks in maps, which came later");
  }
  const refused = attempt(() => runtime.createMap(desc));
  if (!(refused instanceof BpfError)) runtime.freeMap(refused);
  throw refused instanceof BpfError && refused.code !== "EBADF" ? refused : inner;
}

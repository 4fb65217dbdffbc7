import { BpfError, ERRNO } from "../errors.js";
import type { Status } from "../maps/map.js";
import { systemLookup, systemTake, systemUpdate } from "../maps/system.js";
import { kindOfMap } from "../runtime/storage-kinds.js";
import { StorageMap } from "../storage/storage-map.js";
import { MapType, UpdateFlag } from "../uapi/map-types.js";
import { ElementAttr as At, type Attributes } from "./attributes.js";
import type { MapObject } from "./map-object.js";
import { withBlocks } from "./scratch.js";
import type { OpenMap, State } from "./state.js";

const LOCK = BigInt(UpdateFlag.Lock);

/** Which a call does: reading needs a descriptor that may read, writing one that may write of a map that is not frozen. */
export interface Wanted {
  readonly read?: boolean;
  readonly write?: boolean;
}

/** @throws {BpfError} EPERM */
export function checkAccess({ object, access }: OpenMap, { read = false, write = false }: Wanted): void {
  if (read && !access.readable) throw new BpfError("EPERM", `map ${object.id} is open for writing only`);
  if (write && (!access.writable || object.frozen))
    throw new BpfError("EPERM", `map ${object.id} is frozen, or open for reading only`);
}

/** `BPF_F_LOCK` asks for a lock in the value. @throws {BpfError} EINVAL */
export function checkLock({ hasLock, id }: MapObject, flags: bigint): void {
  if ((flags & LOCK) !== 0n && !hasLock) throw new BpfError("EINVAL", `BPF_F_LOCK, and map ${id} has no locks`);
}

/** @throws {BpfError} EINVAL */
function checkReadFlags(flags: bigint): void {
  if ((flags & ~LOCK) !== 0n) throw new BpfError("EINVAL", `flags ${flags}: expected BPF_F_LOCK or none`);
}

/** The caller's key in the arena; of a map without keys none, and no address of one. @throws {BpfError} EINVAL, EFAULT */
export function readKey(state: State, { map }: MapObject, address: number, into: number): void {
  if (map.desc.keySize !== 0) state.runtime.arena.u8.set(state.memory.read(address, map.desc.keySize), into);
  else if (address !== 0) throw new BpfError("EINVAL", `a key of map ${map.id}, which has none`);
}

/**
 * Does something to elements as a system call does: nothing of a program's that is running goes before it ends, and programs that are called meanwhile find
 * the storage of tasks and cgroups busy (`bpf_task_storage_lock`).
 */
export function inside<T>({ runtime }: State, { map }: MapObject, call: () => T): T {
  if (!(map instanceof StorageMap)) return runtime.rcu.lock(call);
  return runtime.rcu.lock(() => kindOfMap(runtime.storages, map).helpers.within(call));
}

/** BPF_MAP_LOOKUP_ELEM */
export function lookup(state: State, attr: Attributes): Status {
  const flags = attr.u64(At.flags);
  checkReadFlags(flags);
  const open = state.map(attr.u32(At.mapFd));
  const { object } = open;
  checkAccess(open, { read: true });
  checkLock(object, flags);
  return copyOut(state, object, attr, (key, value) => {
    // What is asked about comes in the place of a value.
    if (object.map.desc.type === MapType.BloomFilter) return contains(state, object, attr.pointer(At.value), value);
    return inside(state, object, () => systemLookup(state.runtime.arena, object.map, key, value));
  });
}

function contains(state: State, { map, valueSize }: MapObject, address: number, value: number): Status {
  const { arena } = state.runtime;
  arena.u8.set(state.memory.read(address, valueSize), value);
  return systemLookup(arena, map, 0, value);
}

/** BPF_MAP_LOOKUP_AND_DELETE_ELEM */
export function lookupAndDelete(state: State, attr: Attributes): Status {
  const flags = attr.u64(At.flags);
  checkReadFlags(flags);
  const open = state.map(attr.u32(At.mapFd));
  const { object } = open;
  checkAccess(open, { read: true, write: true });
  const { type } = object.map.desc;
  if (flags !== 0n && (type === MapType.Queue || type === MapType.Stack))
    throw new BpfError("EINVAL", "flags of taking a value out of a queue");
  checkLock(object, flags);
  return copyOut(state, object, attr, (key, value) =>
    inside(state, object, () => systemTake(state.runtime.arena, object.map, key, value)),
  );
}

/** Reads a key, calls, and writes the value that comes of it. */
function copyOut(
  state: State,
  object: MapObject,
  attr: Attributes,
  call: (key: number, value: number) => Status,
): Status {
  const { arena } = state.runtime;
  const { valueSize } = object;
  return withBlocks(arena, [object.map.desc.keySize, valueSize], (key = 0, value = 0) => {
    readKey(state, object, attr.pointer(At.key), key);
    const status = call(key, value);
    // A bloom filter has no value to give.
    if (status !== 0 || object.map.desc.type === MapType.BloomFilter) return status;
    state.memory.write(attr.pointer(At.value), arena.read(value, valueSize));
    return 0;
  });
}

/** BPF_MAP_UPDATE_ELEM */
export function update(state: State, attr: Attributes): Status {
  const open = state.map(attr.u32(At.mapFd));
  const { object } = open;
  const flags = attr.u64(At.flags);
  checkAccess(open, { write: true });
  checkLock(object, flags);
  const { arena } = state.runtime;
  return withBlocks(arena, [object.map.desc.keySize, object.valueSize], (key = 0, value = 0) => {
    readKey(state, object, attr.pointer(At.key), key);
    arena.u8.set(state.memory.read(attr.pointer(At.value), object.valueSize), value);
    return inside(state, object, () => systemUpdate(object.map, key, value, flags));
  });
}

/** BPF_MAP_DELETE_ELEM */
export function remove(state: State, attr: Attributes): Status {
  const open = state.map(attr.u32(At.mapFd));
  const { object } = open;
  checkAccess(open, { write: true });
  return withBlocks(state.runtime.arena, [object.map.desc.keySize], (key = 0) => {
    readKey(state, object, attr.pointer(At.key), key);
    return inside(state, object, () => object.map.delete(key));
  });
}

/** BPF_MAP_GET_NEXT_KEY */
export function nextKey(state: State, attr: Attributes): Status {
  const open = state.map(attr.u32(At.mapFd));
  const { object } = open;
  checkAccess(open, { read: true });
  const { arena } = state.runtime;
  const { keySize } = object.map.desc;
  const address = attr.pointer(At.key);
  return withBlocks(arena, [keySize, keySize], (key = 0, next = 0) => {
    if (address !== 0) readKey(state, object, address, key);
    const status = inside(state, object, () => object.map.nextKey(address === 0 ? 0 : key, next));
    if (status !== 0) return status;
    state.memory.write(attr.pointer(At.value), arena.read(next, keySize));
    return 0;
  });
}

/** BPF_MAP_FREEZE: nobody changes the map by bpf(2) any more. */
export function freeze(state: State, attr: Attributes): Status {
  const open = state.map(attr.u32(At.mapFd));
  const { object } = open;
  const special =
    state.generation === "6.1" ? object.fields.some(({ kind }) => kind !== "bpf_spin_lock") : object.fields.length > 0;
  if (special) return -ERRNO.ENOTSUPP;
  if (state.generation !== "6.1") checkAccess(open, { write: true });
  if (object.writers > 0 || object.frozen) return -ERRNO.EBUSY;
  if (state.generation === "6.1") state.need("CAP_BPF");
  object.frozen = true;
  return 0;
}

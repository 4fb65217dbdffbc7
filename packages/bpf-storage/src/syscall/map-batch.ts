import { BpfError, ERRNO } from "../errors.js";
import { ELEMENT, HASH } from "../maps/layout.js";
import type { Status } from "../maps/map.js";
import { systemLookup, systemUpdate } from "../maps/system.js";
import { MapType, UpdateFlag } from "../uapi/map-types.js";
import { BatchAttr as At, type Attributes } from "./attributes.js";
import { checkAccess, checkLock, inside } from "./map-elements.js";
import type { MapObject } from "./map-object.js";
import { withBlocks } from "./scratch.js";
import type { State } from "./state.js";
import { statusOf } from "./user-memory.js";

const LOCK = BigInt(UpdateFlag.Lock);

/** Which kinds of maps take which batches. */
const ARRAYS: ReadonlySet<number> = new Set([MapType.Array, MapType.PercpuArray, MapType.ArrayOfMaps]);
const HASHES: ReadonlySet<number> = new Set([
  ...[MapType.Hash, MapType.PercpuHash, MapType.LruHash, MapType.LruPercpuHash, MapType.HashOfMaps],
]);
const isTrie = ({ map }: MapObject): boolean => map.desc.type === MapType.LpmTrie;
const isArray = ({ map }: MapObject): boolean => ARRAYS.has(map.desc.type);
const isHash = ({ map }: MapObject): boolean => HASHES.has(map.desc.type);

/** A batch of a map, with what all of them need. */
interface Batch {
  readonly state: State;
  readonly attr: Attributes;
  readonly object: MapObject;
  readonly keySize: number;
  readonly valueSize: number;
  readonly count: number;
  readonly keys: number;
  readonly values: number;
}

const open = (state: State, attr: Attributes, wanted: { readonly read?: boolean; readonly write?: boolean }): Batch => {
  const map = state.map(attr.u32(At.mapFd));
  checkAccess(map, wanted);
  const { object } = map;
  return {
    ...{ state, attr, object, keySize: object.map.desc.keySize, valueSize: object.valueSize },
    ...{ count: attr.u32(At.count), keys: attr.pointer(At.keys), values: attr.pointer(At.values) },
  };
};

/** @throws {BpfError} EINVAL */
function checkFlags({ attr, object }: Batch): void {
  const flags = attr.u64(At.elemFlags);
  if ((flags & ~LOCK) !== 0n) throw new BpfError("EINVAL", `elem_flags ${flags}: expected BPF_F_LOCK or none`);
  checkLock(object, flags);
}

/** BPF_MAP_LOOKUP_BATCH */
export function lookupBatch(state: State, attr: Attributes): Status {
  const batch = open(state, attr, { read: true });
  if (isHash(batch.object)) return buckets(batch, false);
  return isArray(batch.object) || isTrie(batch.object) ? lookupInOrder(batch) : -ERRNO.ENOTSUPP;
}

/** BPF_MAP_LOOKUP_AND_DELETE_BATCH */
export function lookupAndDeleteBatch(state: State, attr: Attributes): Status {
  const batch = open(state, attr, { read: true, write: true });
  return isHash(batch.object) ? buckets(batch, true) : -ERRNO.ENOTSUPP;
}

/** BPF_MAP_UPDATE_BATCH */
export function updateBatch(state: State, attr: Attributes): Status {
  const batch = open(state, attr, { write: true });
  const { object, keys, values, keySize, valueSize } = batch;
  if (!isArray(object) && !isHash(object) && !isTrie(object)) return -ERRNO.ENOTSUPP;
  const { arena } = state.runtime;
  const flags = attr.u64(At.elemFlags);
  return each(batch, [keySize, valueSize], (k, key = 0, value = 0) => {
    arena.u8.set(state.memory.read(keys + k * keySize, keySize), key);
    arena.u8.set(state.memory.read(values + k * valueSize, valueSize), value);
    return inside(state, object, () => systemUpdate(object.map, key, value, flags));
  });
}

/** BPF_MAP_DELETE_BATCH */
export function deleteBatch(state: State, attr: Attributes): Status {
  const batch = open(state, attr, { write: true });
  const { object, keys, keySize } = batch;
  if (!isHash(object) && !isTrie(object)) return -ERRNO.ENOTSUPP;
  return each(batch, [keySize], (k, key = 0) => {
    state.runtime.arena.u8.set(state.memory.read(keys + k * keySize, keySize), key);
    return inside(state, object, () => object.map.delete(key));
  });
}

/** Does something to elements until it fails, and tells to how many it did. */
function each(batch: Batch, blocks: readonly number[], step: (k: number, ...blocks: number[]) => Status): Status {
  checkFlags(batch);
  const { attr, count, state } = batch;
  if (count === 0) return 0;
  attr.put32(At.count, 0);
  return withBlocks(state.runtime.arena, blocks, (...at) => {
    let status = 0;
    let done = 0;
    for (; done < count; done++) {
      status = caught(() => step(done, ...at));
      if (status !== 0) break;
    }
    attr.put32(At.count, done);
    return status;
  });
}

function caught(step: () => Status): Status {
  try {
    return step();
  } catch (error) {
    return statusOf(error);
  }
}

/** Elements in the order of their keys from the one behind the last of the batch before (`generic_map_lookup_batch`). */
function lookupInOrder(batch: Batch): Status {
  checkFlags(batch);
  const { state, attr, object, count, keySize, valueSize, keys, values } = batch;
  const { memory, runtime } = state;
  const { arena } = runtime;
  if (count === 0) return 0;
  attr.put32(At.count, 0);
  return withBlocks(arena, [keySize, keySize, valueSize], (first = 0, second = 0, value = 0) => {
    const from = attr.pointer(At.inBatch);
    if (from !== 0) arena.u8.set(memory.read(from, keySize), first);
    // The key before, of those that were found and those that were gone.
    let [previous, key] = from === 0 ? [0, second] : [first, second];
    let status = 0;
    let done = 0;
    while (done < count) {
      status = inside(state, object, () => object.map.nextKey(previous, key));
      if (status !== 0) break;
      status = inside(state, object, () => systemLookup(arena, object.map, key, value));
      if (status === 0) {
        memory.write(keys + done * keySize, arena.read(key, keySize));
        memory.write(values + done * valueSize, arena.read(value, valueSize));
        done++;
      } else if (status !== -ERRNO.ENOENT) return status;
      else status = 0;
      [previous, key] = [key, previous === 0 ? first : previous];
    }
    attr.put32(At.count, done);
    if (done > 0) memory.write(attr.pointer(At.outBatch), arena.read(previous, keySize));
    return status;
  });
}

/** Elements bucket by bucket, whole buckets only: the place in a batch is the number of a bucket (`__htab_map_lookup_and_delete_batch`). */
function buckets(batch: Batch, take: boolean): Status {
  checkFlags(batch);
  const { state, attr, object, count, keySize, valueSize, keys, values } = batch;
  const { memory, runtime } = state;
  const { arena } = runtime;
  if (attr.u64(At.flags) !== 0n) return -ERRNO.EINVAL;
  if (count === 0) return 0;
  attr.put32(At.count, 0);
  const from = attr.pointer(At.inBatch);
  let bucket = from === 0 ? 0 : memory.readU32(from);
  const last = arena.u32(object.map.address + HASH.mask);
  if (bucket > last) return -ERRNO.ENOENT;
  let done = 0;
  let status = 0;
  withBlocks(arena, [keySize, valueSize], (key = 0, value = 0) => {
    for (; bucket <= last; bucket++) {
      const elements = chain(state, object, bucket);
      if (elements.length > count - done) {
        if (done === 0) status = -ERRNO.ENOSPC;
        return;
      }
      // Deleted is what has been read, even if it cannot be written to the caller.
      const found = elements.map((element) => {
        arena.u8.copyWithin(key, element + ELEMENT.key, element + ELEMENT.key + keySize);
        const bytes = inside(state, object, () => {
          systemLookup(arena, object.map, key, value);
          const read = { key: arena.read(key, keySize), value: arena.read(value, valueSize) };
          if (take) object.map.delete(key);
          return read;
        });
        return bytes;
      });
      for (const each of found) {
        memory.write(keys + done * keySize, each.key);
        memory.write(values + done * valueSize, each.value);
        done++;
      }
    }
    status = -ERRNO.ENOENT;
  });
  const place = new Uint8Array(4);
  new DataView(place.buffer).setUint32(0, bucket, true);
  memory.write(attr.pointer(At.outBatch), place);
  attr.put32(At.count, done);
  return status;
}

/** The elements of a bucket. */
function chain({ runtime }: State, { map }: MapObject, bucket: number): number[] {
  const { arena } = runtime;
  const elements: number[] = [];
  const first = arena.u32(map.address + HASH.buckets) + 4 * bucket;
  for (let at = arena.u32(first); at !== 0; at = arena.u32(at + ELEMENT.next)) elements.push(at);
  return elements;
}

import { ERRNO } from "../errors.js";
import type { Arena } from "../memory/arena.js";
import { HashMap } from "./hash.js";
import { type BpfMap, copyOut, type Status } from "./map.js";
import { QueueMap } from "./queue.js";

/** What bpf(2) does to the elements of maps of all kinds, once descriptors, permissions and flags are found good. Keys and values lie in the arena. */

/** Bytes of a value as bpf(2) has it. */
export const systemValueSize = ({ desc, system }: BpfMap): number => system?.valueSize ?? desc.valueSize;

/**
 * BPF_MAP_LOOKUP_ELEM: copies the value of `key` to `value`, with zeros where it has a lock or a timer. Of a bloom filter `value` is what is asked about.
 * @returns 0, -ENOENT, or what the kind says to being asked
 */
export function systemLookup(arena: Arena, map: BpfMap, key: number, value: number): Status {
  if (map.system?.lookup !== undefined) return map.system.lookup(key, value);
  const found = map.lookup(key);
  if (found < 0) return found;
  if (found === 0) return -ERRNO.ENOENT;
  copyOut(arena, map.desc, value, found, map.desc.valueSize);
  return 0;
}

/** BPF_MAP_UPDATE_ELEM. @returns 0 or a negative errno */
export const systemUpdate = (map: BpfMap, key: number, value: number, flags: bigint): Status =>
  map.system?.update === undefined ? map.update(key, value, flags) : map.system.update(key, value, flags);

/** BPF_MAP_LOOKUP_AND_DELETE_ELEM, which only queues and hash tables know. @returns 0, -ENOENT or -ENOTSUPP */
export function systemTake(arena: Arena, map: BpfMap, key: number, value: number): Status {
  if (map instanceof QueueMap) return map.next(value, true);
  if (!(map instanceof HashMap)) return -ERRNO.ENOTSUPP;
  const status = systemLookup(arena, map, key, value);
  return status === 0 ? map.delete(key) : status;
}

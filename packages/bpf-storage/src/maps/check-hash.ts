import { BpfError } from "../errors.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import { ACCESS_FLAGS, checkFlags, checkSizes, hasNode, KMALLOC_MOST, PER_CPU_MOST } from "./checks.js";
import type { MapDesc } from "./map.js";

const FLAGS = MapFlag.NoPrealloc | MapFlag.NoCommonLru | MapFlag.NumaNode | MapFlag.ZeroSeed | ACCESS_FLAGS;
/** Bytes in front of a key (`struct htab_elem`). */
const ELEMENT_BYTES = 48;
/** Elements at most. */
const ENTRIES_MOST = 2 ** 31;

/**
 * What hash tables of all kinds have in common, in the order in which the kernel looks (`htab_map_alloc_check`).
 * @throws {BpfError} EINVAL, E2BIG, ENOTSUPP
 */
export function checkHash(desc: MapDesc): void {
  const { type, keySize, valueSize, maxEntries, flags } = desc;
  const perCpu = type === MapType.PercpuHash || type === MapType.LruPercpuHash;
  const lru = type === MapType.LruHash || type === MapType.LruPercpuHash;
  const listPerCpu = (flags & MapFlag.NoCommonLru) !== 0;
  checkFlags(desc, lru ? FLAGS : FLAGS & ~MapFlag.NoCommonLru, "a hash table");
  if (lru && (flags & MapFlag.NoPrealloc) !== 0)
    throw new BpfError("ENOTSUPP", "a table of the least recently used with NoPrealloc: expected all of it at once");
  if (hasNode(desc) && (perCpu || listPerCpu))
    throw new BpfError("EINVAL", "a hash table for each CPU on one node: expected no NumaNode");
  const sized = maxEntries !== 0 && keySize !== 0 && valueSize !== 0;
  checkSizes(desc, "a hash table", sized, "at least 1 of each");
  if (keySize + valueSize >= KMALLOC_MOST - ELEMENT_BYTES)
    throw new BpfError(
      "E2BIG",
      `keys of ${keySize} and values of ${valueSize} bytes: expected less than ${KMALLOC_MOST - ELEMENT_BYTES} together`,
    );
  if (perCpu && valueSize > PER_CPU_MOST)
    throw new BpfError("E2BIG", `values of ${valueSize} bytes: expected at most ${PER_CPU_MOST} for a CPU`);
  if (maxEntries > ENTRIES_MOST)
    throw new BpfError("E2BIG", `${maxEntries} elements: expected at most ${ENTRIES_MOST}`);
}

/** Elements that a table has room for: as many for each CPU, where each has a list of its own of those used least recently. */
export function roundEntries({ type, maxEntries, flags }: MapDesc, cpus: number): number {
  const lru = type === MapType.LruHash || type === MapType.LruPercpuHash;
  if (!lru || (flags & MapFlag.NoCommonLru) === 0) return maxEntries;
  const up = Math.ceil(maxEntries / cpus) * cpus;
  return up < 2 ** 32 ? up : Math.floor(maxEntries / cpus) * cpus;
}

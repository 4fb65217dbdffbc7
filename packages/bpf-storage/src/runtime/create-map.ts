import { BpfError, ERRNO } from "../errors.js";
import { ArrayMap } from "../maps/array.js";
import { BloomFilter } from "../maps/bloom-filter.js";
import { roundEntries } from "../maps/check-hash.js";
import { hasNode } from "../maps/checks.js";
import type { Descriptors, HeldObject } from "../maps/descriptors.js";
import { HashMap } from "../maps/hash.js";
import { checkHashOfMaps, HashOfMaps } from "../maps/hash-of-maps.js";
import { innerMaps, innerMeta, type MapHolders } from "../maps/inner-map.js";
import { LpmTrie } from "../maps/lpm-trie.js";
import type { BpfMap, MapDesc, MapHost, Status } from "../maps/map.js";
import { ProgArrayMap } from "../maps/prog-array.js";
import { QueueMap } from "../maps/queue.js";
import { RingbufMap } from "../maps/ringbuf.js";
import { checkSlots, SlotMap } from "../maps/slots.js";
import { StackTraceMap } from "../maps/stack-trace.js";
import type { LocalStorages } from "../storage/local-storages.js";
import { StorageMap } from "../storage/storage-map.js";
import { MapFlag, MapType } from "../uapi/map-types.js";

/** What maps of some kinds need besides what all have. */
export interface MapMakers {
  /** Local storage of the kind of owners that a map type is for; undefined where the host has none. */
  readonly storages: (type: MapType) => LocalStorages | undefined;
  /** There are records to be read in a ring buffer. */
  readonly records: (id: number) => void;
  /** What descriptors name, which maps of objects are told. */
  readonly descriptors: () => Descriptors;
  /** Who counts by how many maps a map is held. */
  readonly holders: MapHolders;
  /** 32 random bits. */
  readonly random: () => number;
}

/** Descriptors where there are none. */
export const NO_DESCRIPTORS: Descriptors = {
  map: () => -ERRNO.EBADF,
  program: () => -ERRNO.EBADF,
  perfEvent: () => -ERRNO.EBADF,
  cgroup: () => -ERRNO.EBADF,
};

/** Kinds that are not here, and what they would need. */
const MISSING: ReadonlyMap<MapType, string> = new Map<MapType, string>([
  ...[MapType.Devmap, MapType.DevmapHash, MapType.Xskmap].map((type) => [type, "network devices"] as const),
  ...[MapType.Sockmap, MapType.Sockhash, MapType.ReuseportSockarray].map((type) => [type, "sockets"] as const),
  ...[MapType.CgroupStorage, MapType.PercpuCgroupStorage].map((type) => [type, "cgroup attachments"] as const),
  [MapType.Cpumap, "CPUs that packets are sent to"],
  [MapType.StructOps, "operations of a kernel"],
  [MapType.UserRingbuf, "records that are written from outside"],
  [MapType.Arena, "pages that programs and processes share"],
]);

const nameOf = (type: MapType): string =>
  Object.entries(MapType).find(([, number]) => number === type)?.[0] ?? `${type}`;

/**
 * Makes a map, in the order in which the kernel looks at what it is told (`map_create`).
 * @throws {BpfError} as BPF_MAP_CREATE fails; EINVAL for kinds that are not here
 */
export function createMap(host: MapHost, told: MapDesc, id: number, makers: MapMakers): BpfMap {
  const { type, flags, extra = 0n, numaNode = 0 } = told;
  if (extra !== 0n && type !== MapType.BloomFilter && type !== MapType.Arena)
    throw new BpfError("EINVAL", `map_extra ${extra} of a map of type ${nameOf(type)}: expected 0`);
  if ((flags & MapFlag.Rdonly) !== 0 && (flags & MapFlag.Wronly) !== 0)
    throw new BpfError("EINVAL", `flags 0x${flags.toString(16)} of a map: Rdonly and Wronly at once`);
  if (hasNode(told) && numaNode !== 0)
    throw new BpfError("EINVAL", `a map on node ${numaNode}: expected 0, which is the only one, or -1`);
  return makeMap(host, { ...told, maxEntries: roundEntries(told, host.cpus) }, id, makers);
}

function makeMap(host: MapHost, told: MapDesc, id: number, makers: MapMakers): BpfMap {
  // Who may write is a matter of descriptors, not of the map.
  const desc = { ...told, flags: told.flags & ~(MapFlag.Rdonly | MapFlag.Wronly) };
  const objects = (objectOf: (fd: number) => HeldObject | Status, readable: boolean): SlotMap =>
    new SlotMap(host, desc, id, { objectOf, readable });
  const inner = () => innerMaps(innerMeta(desc), (fd) => makers.descriptors().map(fd), makers.holders);
  switch (desc.type) {
    case MapType.Array:
    case MapType.PercpuArray:
      return new ArrayMap(host, desc, id);
    case MapType.Hash:
    case MapType.PercpuHash:
    case MapType.LruHash:
    case MapType.LruPercpuHash:
      return new HashMap(host, desc, id);
    case MapType.LpmTrie:
      return new LpmTrie(host, desc, id);
    case MapType.Queue:
    case MapType.Stack:
      return new QueueMap(host, desc, id);
    case MapType.BloomFilter:
      return new BloomFilter(host, desc, id, makers.random);
    case MapType.StackTrace:
      return new StackTraceMap(host, desc, id);
    case MapType.Ringbuf:
      return new RingbufMap(host, told, id, () => makers.records(id));
    case MapType.PerfEventArray:
      return objects((fd) => makers.descriptors().perfEvent(fd), false);
    case MapType.CgroupArray:
      return objects((fd) => makers.descriptors().cgroup(fd), false);
    case MapType.ProgArray:
      return new ProgArrayMap(host, desc, id, (fd) => makers.descriptors().program(fd));
    case MapType.ArrayOfMaps:
      checkSlots(desc);
      return objects(inner(), true);
    case MapType.HashOfMaps:
      checkHashOfMaps(desc);
      return new HashOfMaps(host, desc, id, inner());
    case MapType.TaskStorage:
    case MapType.InodeStorage:
    case MapType.SkStorage:
    case MapType.CgrpStorage: {
      const storages = makers.storages(desc.type);
      if (storages !== undefined) return new StorageMap(storages, told, id);
    }
  }
  const needs = MISSING.get(desc.type);
  const why = needs === undefined ? "which this system does not have" : `which needs ${needs}`;
  throw new BpfError("EINVAL", `a map of type ${nameOf(desc.type)}, ${why}`);
}

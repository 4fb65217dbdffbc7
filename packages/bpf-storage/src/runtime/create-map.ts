import { BpfError } from "../errors.js";
import { ArrayMap } from "../maps/array.js";
import { HashMap } from "../maps/hash.js";
import type { BpfMap, MapDesc, MapHost } from "../maps/map.js";
import { QueueMap } from "../maps/queue.js";
import { RingbufMap } from "../maps/ringbuf.js";
import { SlotMap } from "../maps/slots.js";
import type { LocalStorages } from "../storage/local-storages.js";
import { StorageMap } from "../storage/storage-map.js";
import { MapType } from "../uapi/map-types.js";

/** What maps of some kinds need besides what all have. */
export interface MapMakers {
  /** Local storage of the kind of owners that a map type is for; undefined where the host has none. */
  readonly storages: (type: MapType) => LocalStorages | undefined;
  /** There are records to be read in a ring buffer. */
  readonly records: (id: number) => void;
  /** What a slot of a program array holds for a program's descriptor; or a negative errno. */
  readonly program: (fd: number) => number;
}

const nameOf = (type: MapType): string =>
  Object.entries(MapType).find(([, number]) => number === type)?.[0] ?? `${type}`;

/**
 * Makes a map.
 * @throws {BpfError} as BPF_MAP_CREATE fails; EINVAL for kinds that are not here
 */
export function createMap(host: MapHost, desc: MapDesc, id: number, makers: MapMakers): BpfMap {
  switch (desc.type) {
    case MapType.Array:
    case MapType.PercpuArray:
      return new ArrayMap(host, desc, id);
    case MapType.Hash:
    case MapType.PercpuHash:
    case MapType.LruHash:
    case MapType.LruPercpuHash:
      return new HashMap(host, desc, id);
    case MapType.Queue:
    case MapType.Stack:
      return new QueueMap(host, desc, id);
    case MapType.Ringbuf:
      return new RingbufMap(host, desc, id, () => makers.records(id));
    case MapType.PerfEventArray:
      return new SlotMap(host, desc, id, (fd) => fd);
    case MapType.ProgArray:
      return new SlotMap(host, desc, id, makers.program);
    case MapType.TaskStorage:
    case MapType.InodeStorage:
    case MapType.SkStorage:
    case MapType.CgrpStorage: {
      const storages = makers.storages(desc.type);
      if (storages !== undefined) return new StorageMap(storages, desc, id);
    }
  }
  throw new BpfError("EINVAL", `a map of type ${nameOf(desc.type)}, which this system does not have`);
}

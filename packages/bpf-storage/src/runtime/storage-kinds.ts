import type { MapHost } from "../maps/map.js";
import { LocalStorages, type StorageFunction } from "../storage/local-storages.js";
import type { Owners } from "../storage/owners.js";
import { type Generation, type HelperRules, StorageHelpers } from "../storage/storage-helpers.js";
import type { StorageMap } from "../storage/storage-map.js";
import { MapType } from "../uapi/map-types.js";
import type { RuntimeHost } from "./host.js";

/** Local storage of one kind of owners, with its helpers. */
export interface StorageKind {
  readonly type: MapType;
  readonly storages: LocalStorages;
  readonly helpers: StorageHelpers;
}

/** Kinds of owners: the type of their maps, whose they are, and what is particular about their helpers. */
const KINDS: readonly {
  readonly type: MapType;
  readonly owners: (host: RuntimeHost) => Owners | undefined;
  readonly rules: HelperRules;
}[] = [
  { type: MapType.TaskStorage, owners: (host) => host.tasks, rules: { guard: "recursive", refers: false } },
  { type: MapType.InodeStorage, owners: (host) => host.inodes, rules: { guard: "nobody", refers: false } },
  { type: MapType.SkStorage, owners: (host) => host.sockets, rules: { guard: "nobody", refers: true } },
  { type: MapType.CgrpStorage, owners: (host) => host.cgroups, rules: { guard: "all", refers: false } },
];

/** The storages of a host, by the type of their maps. */
export function storageKinds(
  maps: MapHost,
  host: RuntimeHost,
  generation: Generation,
  entered: (name: StorageFunction, ...args: number[]) => void,
): ReadonlyMap<MapType, StorageKind> {
  const kinds = new Map<MapType, StorageKind>();
  for (const { type, owners: of, rules } of KINDS) {
    const owners = of(host);
    if (owners === undefined) continue;
    const storages = new LocalStorages(maps, owners, entered);
    kinds.set(type, { type, storages, helpers: new StorageHelpers({ storages, generation, rules }) });
  }
  return kinds;
}

/** The kind that a map belongs to. */
export const kindOfMap = (kinds: ReadonlyMap<MapType, StorageKind>, map: StorageMap): StorageKind =>
  kinds.get(map.desc.type) as StorageKind;

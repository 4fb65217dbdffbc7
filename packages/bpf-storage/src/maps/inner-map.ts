import { BpfError, ERRNO } from "../errors.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import type { HeldObject } from "./descriptors.js";
import { type BpfMap, type MapDesc, type Status, specialFields } from "./map.js";

/** Types of maps that are never in others: what of them counts is only known while programs run. */
const NEVER: ReadonlySet<MapType> = new Set([
  ...[MapType.ProgArray, MapType.CgroupStorage, MapType.PercpuCgroupStorage, MapType.StructOps],
]);

const isOuter = ({ type }: MapDesc): boolean => type === MapType.ArrayOfMaps || type === MapType.HashOfMaps;

/**
 * What the maps in a map of maps are to be like, as its maker shows by one of them (kernel/bpf/map_in_map.c, `bpf_map_meta_alloc`).
 * @throws {BpfError} EBADF without one, EINVAL for one that holds maps itself, ENOTSUPP for kinds that are in no others
 */
export function innerMeta({ inner, name }: MapDesc): MapDesc {
  if (inner === undefined)
    throw new BpfError("EBADF", `map ${name} of maps: expected an inner map that shows its kind`);
  const { type } = inner.desc;
  if (isOuter(inner.desc)) throw new BpfError("EINVAL", `map ${name} of maps of maps: expected one level`);
  if (NEVER.has(type)) throw new BpfError("ENOTSUPP", `map ${name} of maps of type ${type}, which are in no others`);
  return inner.desc;
}

/** Whether a map is like those that another holds (`map_meta_equal`): only of arrays also the number of elements, unless they are made with `MapFlag.InnerMap`. */
export function fitsInner(meta: MapDesc, { desc }: BpfMap): boolean {
  const counted = meta.type === MapType.Array && (meta.flags & MapFlag.InnerMap) === 0;
  return (
    meta.type === desc.type &&
    meta.keySize === desc.keySize &&
    meta.valueSize === desc.valueSize &&
    meta.flags === desc.flags &&
    sameFields(meta, desc) &&
    (!counted || meta.maxEntries === desc.maxEntries)
  );
}

function sameFields(a: MapDesc, b: MapDesc): boolean {
  const [these, those] = [specialFields(a.fields), specialFields(b.fields)];
  return (
    these.length === those.length &&
    these.every(({ kind, offset, size }, k) => {
      const other = those[k];
      return kind === other?.kind && offset === other.offset && size === other.size;
    })
  );
}

/** Who counts by how many a map is held. */
export interface MapHolders {
  hold(map: BpfMap): void;
  /** At the last the map is freed. */
  drop(map: BpfMap): void;
}

/** The maps that descriptors name, for a map that holds such as `meta`. */
export const innerMaps =
  (meta: MapDesc, mapOf: (fd: number) => BpfMap | Status, holders: MapHolders) =>
  (fd: number): HeldObject | Status => {
    const map = mapOf(fd);
    if (typeof map === "number") return map;
    if (!fitsInner(meta, map)) return -ERRNO.EINVAL;
    return { word: map.address, id: map.id, hold: () => holders.hold(map), drop: () => holders.drop(map) };
  };

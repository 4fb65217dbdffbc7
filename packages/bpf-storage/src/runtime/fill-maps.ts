import { BpfError, ERRNO } from "../errors.js";
import type { BpfMap } from "../maps/map.js";
import { systemUpdate } from "../maps/system.js";
import { isMapInMap, type MapDefinition } from "../object/map-definition.js";
import type { BpfRuntime } from "./runtime.js";

/**
 * Puts maps into the maps that name them. Keys are places, as those of arrays.
 * @throws {BpfError} ENOMEM, or what BPF_MAP_UPDATE_ELEM fails with
 */
export function fillMaps(
  runtime: BpfRuntime,
  definitions: readonly MapDefinition[],
  maps: ReadonlyMap<string, BpfMap>,
): void {
  const { arena, descriptors } = runtime;
  const outer = definitions.filter(({ type, slots }) => isMapInMap(type) && slots.length > 0);
  if (outer.length === 0) return;
  const key = arena.alloc(8);
  if (key === 0) throw new BpfError("ENOMEM", "maps of maps");
  const list = [...maps.values()];
  // Meanwhile descriptors are places in the object.
  runtime.descriptors = { ...descriptors, map: (fd) => list[fd] ?? -ERRNO.EBADF };
  try {
    for (const { name, slots } of outer)
      for (const slot of slots) {
        const [into, inner] = [maps.get(name), maps.get(slot.name)];
        if (into === undefined || inner === undefined)
          throw new BpfError("EINVAL", `map ${name}: no map ${slot.name} for element ${slot.index}`);
        arena.setU32(key, slot.index);
        arena.setU32(key + 4, list.indexOf(inner));
        const status = systemUpdate(into, key, key + 4, 0n);
        if (status !== 0) throw refused(name, slot.name, status);
      }
  } finally {
    runtime.descriptors = descriptors;
    arena.free(key);
  }
}

function refused(outer: string, inner: string, status: number): BpfError {
  const what = `map ${outer} does not take ${inner}`;
  if (status === -ERRNO.E2BIG) return new BpfError("E2BIG", `${what}: it has no such element`);
  if (status === -ERRNO.ENOMEM) return new BpfError("ENOMEM", what);
  return new BpfError("EINVAL", `${what}: it is not like the inner map that is declared`);
}

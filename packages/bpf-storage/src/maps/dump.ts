import { MapType } from "../uapi/map-types.js";
import { ArrayMap } from "./array.js";
import { HashMap } from "./hash.js";
import { MAP } from "./layout.js";
import type { BpfMap } from "./map.js";

/** An element of a map, as who looks at all of it gets it. */
export interface DumpedElement {
  readonly key: Uint8Array;
  /** One, or one of each CPU. */
  readonly values: readonly Uint8Array[];
}

/** The elements of an array or a hash table; none of maps whose elements nobody can enumerate. */
export function* dumpMap(map: BpfMap): Generator<DumpedElement> {
  if (!(map instanceof ArrayMap || map instanceof HashMap)) return;
  const { arena, cpus } = map.host;
  const { keySize, valueSize, type } = map.desc;
  const perCpu = type === MapType.PercpuArray || type === MapType.PercpuHash || type === MapType.LruPercpuHash;
  const key = arena.alloc(Math.max(keySize, MAP.own));
  if (key === 0) return;
  try {
    for (let previous = 0; map.nextKey(previous, key) === 0; previous = key) {
      const values = Array.from({ length: perCpu ? cpus : 1 }, (_, cpu) =>
        arena.read(map instanceof ArrayMap ? map.at(arena.u32(key), cpu) : map.at(key, cpu), valueSize),
      );
      yield { key: arena.read(key, keySize), values };
    }
  } finally {
    arena.free(key);
  }
}

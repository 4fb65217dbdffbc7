import { ERRNO } from "../errors.js";
import { MapType } from "../uapi/map-types.js";
import { align8, MAP } from "./layout.js";
import type { BpfMap } from "./map.js";
import { QueueMap } from "./queue.js";
import { systemLookup, systemValueSize } from "./system.js";

/** An element of a map, as who looks at all of it gets it. */
export interface DumpedElement {
  /** Without bytes in a queue or a stack. */
  readonly key: Uint8Array;
  /** One, or one of each CPU. */
  readonly values: readonly Uint8Array[];
}

/** Whether maps of a type have a value for each CPU. */
export const isPerCpu = (type: MapType): boolean =>
  type === MapType.PercpuArray || type === MapType.PercpuHash || type === MapType.LruPercpuHash;

/**
 * The elements of a map, as bpf(2) gives them; of maps of maps the numbers of these, of queues and stacks the values in the order in which they come.
 * None of maps whose elements nobody can enumerate or read.
 */
export function* dumpMap(map: BpfMap): Generator<DumpedElement> {
  const { arena } = map.host;
  const { keySize, valueSize, type } = map.desc;
  if (map instanceof QueueMap) {
    for (const at of map.values()) yield { key: new Uint8Array(), values: [arena.read(at, valueSize)] };
    return;
  }
  const [keyBytes, size, stride] = [Math.max(align8(keySize), MAP.own), systemValueSize(map), align8(valueSize)];
  const key = arena.alloc(keyBytes + size);
  if (key === 0) return;
  const value = key + keyBytes;
  const ofCpus = (): Uint8Array[] =>
    Array.from({ length: size / stride }, (_, cpu) => arena.read(value + cpu * stride, valueSize));
  try {
    for (let previous = 0; map.nextKey(previous, key) === 0; previous = key) {
      const status = systemLookup(arena, map, key, value);
      // A slot that is empty is no element; where nothing can be read, nothing is.
      if (status === -ERRNO.ENOENT) continue;
      if (status !== 0) return;
      yield { key: arena.read(key, keySize), values: isPerCpu(type) ? ofCpus() : [arena.read(value, size)] };
    }
  } finally {
    arena.free(key);
  }
}

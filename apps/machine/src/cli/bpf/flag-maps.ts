import {
  BpfError,
  type BpfMap,
  type BpfRuntime,
  ERRNO,
  isPerCpu,
  type MapDesc,
  systemUpdate,
  systemValueSize,
} from "@vm/bpf-storage";
import { UsageError } from "../errors.js";
import type { FlagElement } from "./map-elements.js";
import type { FlagMap } from "./maps-flag.js";

/** A map of `--maps`, made. */
export interface MadeMap {
  readonly fd: number;
  readonly flag: FlagMap;
  readonly map: BpfMap;
}

/** Makes the maps of `--maps`, with what is in them. @throws {UsageError} for one that Linux would refuse, which says why */
export function makeMaps(runtime: BpfRuntime, flags: readonly FlagMap[]): MadeMap[] {
  const made = flags.map((flag, place) => ({
    fd: flag.fd,
    flag,
    map: makeMap(runtime, flag, `map ${place} (${flag.name})`),
  }));
  // A descriptor is the place of a map.
  runtime.descriptors = { ...runtime.descriptors, map: (fd) => made[fd]?.map ?? -ERRNO.EBADF };
  for (const { flag, map } of made) {
    if (flag.data !== null) put(runtime, map, `"data" of ${flag.name}`, new Uint8Array(4), flag.data);
    for (const element of flag.elements) putElement(runtime, map, element, made);
  }
  return made;
}

function makeMap(runtime: BpfRuntime, flag: FlagMap, where: string): BpfMap {
  const { type, keySize, valueSize, maxEntries, flags, name, numaNode, extra, fields = [] } = flag;
  // It only shows what the maps in it are like.
  const inner = flag.inner === undefined ? undefined : makeMap(runtime, flag.inner, `"inner" of ${where}`);
  const lock = fields.find(({ kind }) => kind === "bpf_spin_lock");
  const desc: MapDesc = {
    ...{ type, keySize, valueSize, maxEntries, flags, name: name.slice(0, 15), numaNode, extra, inner },
    ...(fields.length === 0
      ? {}
      : { fields: { spinLock: lock?.offset ?? null, others: fields.filter((field) => field !== lock) } }),
  };
  try {
    return runtime.createMap(desc);
  } catch (error) {
    if (error instanceof BpfError) throw new UsageError(`--maps: ${where}: ${error.message}`);
    throw error;
  } finally {
    if (inner !== undefined) runtime.freeMap(inner);
  }
}

function putElement(
  runtime: BpfRuntime,
  map: BpfMap,
  { where, key, value }: FlagElement,
  made: readonly MadeMap[],
): void {
  if (typeof value === "object") {
    put(runtime, map, where, key, spread(runtime, map, value));
    return;
  }
  const place = made.findIndex(({ fd, flag }) => (typeof value === "string" ? flag.name : fd) === value);
  if (place < 0)
    throw new UsageError(
      `--maps: ${where}: no map ${value}: expected the name or the fd of one of ${made.map(({ flag }) => flag.name).join(", ")}`,
    );
  put(runtime, map, where, key, Uint8Array.of(place & 0xff, place >>> 8, 0, 0));
}

/** The bytes of a value as bpf(2) has it: for each CPU the same, if there is only one. */
function spread({ cpus }: BpfRuntime, map: BpfMap, values: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(systemValueSize(map));
  const [count, stride] = isPerCpu(map.desc.type) ? [cpus, bytes.length / cpus] : [1, bytes.length];
  for (let cpu = 0; cpu < count; cpu++) {
    const value = values.length === 1 ? values[0] : values[cpu];
    if (value !== undefined) bytes.set(value, cpu * stride);
  }
  return bytes;
}

/** @throws {UsageError} with the errno of BPF_MAP_UPDATE_ELEM */
function put({ arena }: BpfRuntime, map: BpfMap, where: string, key: Uint8Array, value: Uint8Array): void {
  const at = arena.alloc(key.length + 8 + value.length);
  if (at === 0) throw new UsageError(`--maps: ${where}: ${value.length} bytes, for which there is no memory`);
  const valueAt = at + Math.ceil(key.length / 8) * 8;
  arena.u8.set(key, at);
  arena.u8.set(value, valueAt);
  const status = systemUpdate(map, at, valueAt, 0n);
  arena.free(at);
  if (status === 0) return;
  throw new UsageError(`--maps: ${where}: ${wanted(map, -status)}`);
}

/** An errno of BPF_MAP_UPDATE_ELEM, and what the map would have taken. */
function wanted({ desc }: BpfMap, errno: number): string {
  const name = Object.entries(ERRNO).find(([, number]) => number === errno)?.[0] ?? `${errno}`;
  switch (errno) {
    case ERRNO.E2BIG:
    case ERRNO.ENOSPC:
      return `${name}: expected at most ${desc.maxEntries} elements, or an index below that`;
    case ERRNO.EINVAL:
      return `${name}: expected ${desc.inner === undefined ? "what a map of this type holds" : 'a map as "inner" describes'}`;
    default:
      return `${name}: the map does not take it`;
  }
}

import { type MapField, MapFlag, MapType, type VerifierMap } from "@vm/bpf-storage";
import { UsageError } from "../errors.js";
import { FlagReader } from "./flag-reader.js";
import { type FlagElement, readElements } from "./map-elements.js";

/** A map that `--maps` names, and the number by which instructions do. */
export interface FlagMap extends VerifierMap {
  readonly fd: number;
  readonly name: string;
  /** As BPF_MAP_CREATE has them. */
  readonly numaNode: number;
  readonly extra: bigint;
  /** The value that an array of one begins with. */
  readonly data: Uint8Array | null;
  /** What is in it from the beginning. */
  readonly elements: readonly FlagElement[];
  readonly inner?: FlagMap;
}

const WANTED =
  'a list such as [{"type":"array","key_size":4,"value_size":8,"max_entries":1}]; instructions name them by "fd", or else by their place from 0 on';

/** Names of linux/bpf.h in lower case: `percpu_hash`, `task_storage`. */
const TYPES: ReadonlyMap<string, MapType> = new Map(
  Object.entries(MapType).map(([name, type]) => [
    name.replace(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
    type,
  ]),
);
/** A name without what says nothing: `BPF_MAP_TYPE_LRU_HASH`, `LruHash` and `lru_hash` are one. */
const bare = (word: string): string =>
  word
    .toLowerCase()
    .replace(/^bpf_map_type_|^bpf_f_/, "")
    .replaceAll("_", "");
const BARE_TYPES: ReadonlyMap<string, MapType> = new Map([...TYPES].map(([name, type]) => [bare(name), type]));
const BARE_FLAGS: ReadonlyMap<string, number> = new Map(
  Object.entries(MapFlag).map(([name, bit]) => [name.toLowerCase(), bit]),
);

/** What values hold besides bytes, in bytes. Lists, trees and pointers have types, which only objects can tell. */
const FIELDS: ReadonlyMap<MapField["kind"], number> = new Map([
  ...([
    ["bpf_spin_lock", 4],
    ["bpf_timer", 16],
    ["bpf_wq", 16],
    ["bpf_refcount", 4],
  ] as const),
]);

/** The ways to write each field: bpftool's, the ones of linux/bpf.h and of TypeScript. */
const SPELLINGS = {
  ...{ type: ["type"], name: ["name"], fd: ["fd"], inner: ["inner"], fields: ["fields"] },
  ...{ frozen: ["frozen"], data: ["data"], elements: ["elements"] },
  keySize: ["key_size", "bytes_key", "keySize"],
  valueSize: ["value_size", "bytes_value", "valueSize"],
  maxEntries: ["max_entries", "maxEntries"],
  flags: ["flags", "map_flags", "mapFlags"],
  numaNode: ["numa_node", "numaNode"],
  extra: ["map_extra", "mapExtra"],
} as const;
/** What bpftool tells besides, of maps that are. */
const TOLD = [
  ...["id", "bytes_memlock", "btf_id", "pinned", "pids", "error", "owner_prog_type", "owner_jited", "ifindex"],
];

/** The maps of `--maps`. @throws {UsageError} which says what was expected, and where */
export function parseMaps(text: string | undefined): FlagMap[] {
  if (text === undefined) return [];
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw new UsageError(`--maps: expected JSON, ${WANTED}`);
  }
  if (!Array.isArray(list)) throw new UsageError(`--maps: expected ${WANTED}`);
  const maps = list.map((each: unknown, place) => readMap(each, `map ${place}`, place));
  for (const [place, { fd }] of maps.entries())
    if (maps.findIndex((map) => map.fd === fd) !== place)
      throw new UsageError(`--maps: map ${place}: "fd" ${fd} is another map's; expected one of its own`);
  return maps;
}

function readMap(given: unknown, where: string, place: number): FlagMap {
  const read = new FlagReader(given, where, SPELLINGS, TOLD);
  const type = typeOf(read);
  const flags = flagsOf(read);
  const isOuter = type === MapType.ArrayOfMaps || type === MapType.HashOfMaps;
  const inner = read.get("inner");
  if (isOuter && inner === undefined)
    read.refuse("inner", 'what the maps in it are like: {"type":"array","key_size":4,"value_size":8,"max_entries":1}');
  if (!isOuter && inner !== undefined) read.refuse("inner", "none, unless it is a map of maps");
  const sizes = {
    keySize: read.number("keySize", 0),
    valueSize: read.number("valueSize", isOuter ? 4 : 0),
    maxEntries: read.number("maxEntries", 0),
  };
  const fields = fieldsOf(read, sizes.valueSize);
  const data = dataOf(read, type, sizes);
  const frozen = read.get("frozen");
  if (frozen !== undefined && ![true, false, 0, 1].includes(frozen as boolean)) read.refuse("frozen", "true or false");
  // Programs can still write what is only frozen for others.
  const constant = Boolean(frozen) && (flags & MapFlag.RdonlyProg) !== 0;
  const name = read.get("name") ?? `map${place}`;
  return {
    ...{ type, ...sizes, flags, data, name: typeof name === "string" ? name : read.refuse("name", "a string") },
    ...{
      fd: read.number("fd", place),
      numaNode: read.number("numaNode", 0, -1),
      extra: BigInt(read.number("extra", 0)),
    },
    ...{ elements: readElements(read.get("elements"), `${where}: "elements"`, { type, ...sizes }) },
    ...(fields.length === 0 ? {} : { fields }),
    ...(constant && data !== null ? { frozen: data } : {}),
    ...(inner === undefined ? {} : { inner: readMap(inner, `"inner" of ${where}`, place) }),
  };
}

function typeOf(read: FlagReader<keyof typeof SPELLINGS>): MapType {
  const told = read.get("type");
  const named = typeof told === "string" ? BARE_TYPES.get(bare(told)) : undefined;
  return (
    named ??
    [...TYPES.values()].find((known) => known === told) ??
    read.refuse("type", `one of ${[...TYPES.keys()].join(", ")}`)
  );
}

/** A number, or a list of names: `["BPF_F_NO_PREALLOC"]`. */
function flagsOf(read: FlagReader<keyof typeof SPELLINGS>): number {
  const told = read.get("flags");
  if (!Array.isArray(told)) return read.number("flags", 0);
  return told.reduce((sum: number, each: unknown) => {
    const bit = typeof each === "string" ? BARE_FLAGS.get(bare(each)) : undefined;
    return sum | (bit ?? read.refuse("flags", `a number, or a list of ${Object.keys(MapFlag).join(", ")}`));
  }, 0);
}

function fieldsOf(read: FlagReader<keyof typeof SPELLINGS>, valueSize: number): MapField[] {
  const told = read.get("fields") ?? [];
  const wanted = `a list such as [{"kind":"bpf_spin_lock","offset":0}]; kinds are ${[...FIELDS.keys()].join(", ")}`;
  if (!Array.isArray(told)) return read.refuse("fields", wanted);
  const fields = told.map((each: { kind?: unknown; offset?: unknown } | null): MapField => {
    const kind = [...FIELDS.keys()].find((known) => known === each?.kind);
    const [size, offset] = [kind === undefined ? 0 : (FIELDS.get(kind) ?? 0), each?.offset ?? 0];
    if (kind === undefined) return read.refuse("fields", wanted);
    const fits = typeof offset === "number" && Number.isInteger(offset) && offset >= 0 && offset + size <= valueSize;
    if (!fits || offset % Math.min(size, 8) !== 0)
      return read.refuse(
        "fields",
        `the offset of ${kind} in a value of ${valueSize} bytes, a multiple of ${Math.min(size, 8)}`,
      );
    return { kind, offset, size };
  });
  return fields.sort((a, b) => a.offset - b.offset);
}

interface Sizes {
  readonly valueSize: number;
  readonly maxEntries: number;
}

function dataOf(read: FlagReader<keyof typeof SPELLINGS>, type: MapType, { valueSize, maxEntries }: Sizes) {
  const told = read.get("data");
  if (told === undefined) return null;
  if (type !== MapType.Array || maxEntries !== 1) read.refuse("data", "none, unless it is an array of one value");
  const bytes = read.bytes("data");
  return bytes.length === valueSize ? bytes : read.refuse("data", `${valueSize} bytes, as many as the value has`);
}

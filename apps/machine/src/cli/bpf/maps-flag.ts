import { MapType, type VerifierMap } from "@vm/bpf-storage";
import { UsageError } from "../errors.js";

/** A map that `--maps` names, and the number by which instructions do. */
export interface FlagMap extends VerifierMap {
  readonly fd: number;
  readonly name: string;
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

/** @throws {UsageError} */
export function parseMaps(text: string | undefined): FlagMap[] {
  if (text === undefined) return [];
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw new UsageError(`--maps: expected JSON, ${WANTED}`);
  }
  if (!Array.isArray(list)) throw new UsageError(`--maps: expected ${WANTED}`);
  return list.map((each: Record<string, unknown>, place) => {
    const number = (name: string, otherwise: number): number => {
      const value = each?.[name] ?? otherwise;
      if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
      throw new UsageError(`--maps: "${name}" of map ${place}: expected a number from 0 to 4294967295`);
    };
    const word = String(each?.type ?? "").replace(/^BPF_MAP_TYPE_/, "");
    const type = TYPES.get(word.toLowerCase()) ?? [...TYPES.values()].find((known) => known === each?.type);
    if (type === undefined)
      throw new UsageError(`--maps: "type" of map ${place}: expected one of ${[...TYPES.keys()].join(", ")}`);
    return {
      ...{ type, fd: number("fd", place), name: typeof each.name === "string" ? each.name : `map${place}` },
      ...{ keySize: number("key_size", 0), valueSize: number("value_size", 0) },
      ...{ maxEntries: number("max_entries", 0), flags: number("flags", 0) },
    };
  });
}

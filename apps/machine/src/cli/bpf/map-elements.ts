import { isPerCpu, MapType } from "@vm/bpf-storage";
import { UsageError } from "../errors.js";
import { BYTES, bytesOf, FlagReader } from "./flag-reader.js";

/** What a map has from the beginning. */
export interface FlagElement {
  /** "elements"[0] of map 0 */
  readonly where: string;
  /** Empty for maps without keys. */
  readonly key: Uint8Array;
  /** One value, or one for each CPU; of a map of maps the name or the descriptor of another. */
  readonly value: readonly Uint8Array[] | string | number;
}

/** As far as elements depend on it. */
export interface ElementShape {
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
}

const SPELLINGS = { key: ["key"], value: ["value"], values: ["values"] } as const;
type Reader = FlagReader<keyof typeof SPELLINGS>;

/** Maps whose elements are not bytes that somebody puts in. */
const WITHOUT: ReadonlySet<MapType> = new Set([
  ...[MapType.ProgArray, MapType.PerfEventArray, MapType.CgroupArray, MapType.StackTrace],
  ...[MapType.Ringbuf, MapType.UserRingbuf, MapType.Arena, MapType.StructOps],
]);

/** Elements as bpftool shows them, or with their bytes in hexadecimal. @param where for messages @throws {UsageError} */
export function readElements(told: unknown, where: string, shape: ElementShape): FlagElement[] {
  if (told === undefined) return [];
  if (!Array.isArray(told))
    throw new UsageError(`--maps: ${where}: expected a list such as [{"key":"00 00 00 00","value":"2a 00 00 00"}]`);
  if (told.length > 0 && WITHOUT.has(shape.type))
    throw new UsageError(`--maps: ${where}: expected none: what is in a map of this type is no bytes`);
  return told.map((each: unknown, place) =>
    readElement(new FlagReader(each, `${where}[${place}]`, SPELLINGS, ["formatted", "inner_map_id"]), shape),
  );
}

function readElement(read: Reader, shape: ElementShape): FlagElement {
  const key =
    read.get("key") === undefined && shape.keySize === 0
      ? new Uint8Array()
      : sized(read, "key", read.get("key"), shape.keySize);
  return { where: read.where, key, value: elementValue(read, shape) };
}

function elementValue(read: Reader, { type, valueSize }: ElementShape): FlagElement["value"] {
  const told = read.get("value");
  if (type === MapType.ArrayOfMaps || type === MapType.HashOfMaps) {
    if (typeof told === "string" || (typeof told === "number" && Number.isInteger(told))) return told;
    return read.refuse("value", "the name or the fd of another map");
  }
  const list = read.get("values");
  if (list === undefined) return [sized(read, "value", told, valueSize)];
  if (!isPerCpu(type)) read.refuse("values", "one value: it has not one for each CPU");
  if (!Array.isArray(list) || list.length === 0)
    return read.refuse("values", 'a list such as [{"cpu":0,"value":"2a"}]');
  return list.map((each: unknown) => {
    const value = typeof each === "object" && each !== null && "value" in each ? each.value : each;
    return sized(read, "values", value, valueSize);
  });
}

function sized(read: Reader, field: keyof typeof SPELLINGS, told: unknown, size: number): Uint8Array {
  const bytes = bytesOf(told) ?? read.refuse(field, BYTES);
  return bytes.length === size ? bytes : read.refuse(field, `${size} bytes and not ${bytes.length}`);
}

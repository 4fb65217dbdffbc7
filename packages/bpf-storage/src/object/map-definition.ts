import type { Btf } from "../btf/btf.js";
import { BtfKind } from "../btf/kinds.js";
import { sizeOf } from "../btf/size.js";
import type { BtfComposite, BtfMember } from "../btf/types.js";
import { MapType } from "../uapi/map-types.js";
import { ObjectError } from "./errors.js";

/** A map that the object needs. */
export interface MapDefinition {
  /** Of the variable, or of the section whose data it has: `.rodata`. */
  readonly name: string;
  /** Where it comes from. */
  readonly origin: "maps" | "data" | "kconfig" | "struct_ops";
  /** `enum bpf_map_type`; may be newer than `MapType`. */
  readonly type: number;
  /** Bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bits of `MapFlag`. */
  readonly flags: number;
  readonly numaNode: number;
  /** `map_extra`: what depends on the type of map. */
  readonly extra: bigint;
  /** To be pinned by its name, and reused if it is (LIBBPF_PIN_BY_NAME). */
  readonly pinned: boolean;
  /** Types of keys and values in the object's type information; 0: unknown. */
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  /** What maps in this map are like. */
  readonly inner: MapDefinition | null;
  /** Elements that are there from the beginning: maps or programs by name. */
  readonly slots: readonly MapSlot[];
  /** Value 0 from the beginning, or the first bytes of an arena: a part of the object, not a copy. Null if all is zeros, as in `.bss`. */
  readonly contents: Uint8Array | null;
  /** Frozen after that: programs rely on its values, and dead branches are taken out. */
  readonly frozen: boolean;
  /** Variables in that value. */
  readonly variables: readonly MapVariable[];
}

/** An element of a map of maps or programs. */
export interface MapSlot {
  readonly index: number;
  /** Of the map or program. */
  readonly name: string;
}

/** A variable in a map of data. */
export interface MapVariable {
  readonly name: string;
  /** Bytes from the start of the value. */
  readonly offset: number;
  readonly size: number;
  /** In the object's type information. */
  readonly typeId: number;
}

/** What maps have that say nothing else. */
export const PLAIN_MAP = {
  ...({ origin: "maps", type: 0, keySize: 0, valueSize: 0, maxEntries: 0, flags: 0, numaNode: 0, extra: 0n } as const),
  ...{
    pinned: false,
    keyTypeId: 0,
    valueTypeId: 0,
    inner: null,
    slots: [],
    contents: null,
    frozen: false,
    variables: [],
  },
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A map from the type of its variable: `struct { __uint(type, 1); __type(key, int); ... }`.
 * @param inner whether it is what maps in another are like
 * @throws {ObjectError} map; {BpfError} for types that lead nowhere
 */
export function defineMap(btf: Btf, name: string, { members }: BtfComposite, inner = false): MapDefinition {
  const map: Mutable<MapDefinition> = { ...PLAIN_MAP, name };
  const refuse = (why: string): never => {
    throw new ObjectError("map", `map ${name}: ${why}`);
  };
  const size = (member: BtfMember, field: "keySize" | "valueSize", value: number): void => {
    if (map[field] !== 0 && map[field] !== value) refuse(`${member.name}: ${value} bytes, and ${map[field]} elsewhere`);
    map[field] = value;
  };
  const pointee = (member: BtfMember): number => {
    const type = btf.type(member.type);
    if (type.kind !== BtfKind.Ptr) return refuse(`${member.name}: expected a pointer, as of __type`);
    return type.type;
  };
  for (const [k, member] of members.entries()) {
    const number = (): number => fieldNumber(btf, member) ?? refuse(`${member.name}: expected a number, as of __uint`);
    switch (member.name) {
      case "type":
        map.type = number();
        break;
      case "max_entries":
        map.maxEntries = number();
        break;
      case "map_flags":
        map.flags = number();
        break;
      case "numa_node":
        map.numaNode = number();
        break;
      case "map_extra":
        map.extra = fieldLong(btf, member) ?? refuse("map_extra: expected a number, as of __uint or __ulong");
        break;
      case "key_size":
        size(member, "keySize", number());
        break;
      case "value_size":
        size(member, "valueSize", number());
        break;
      case "key":
        map.keyTypeId = pointee(member);
        size(member, "keySize", sizeOf(btf, map.keyTypeId));
        break;
      case "value":
        map.valueTypeId = pointee(member);
        size(member, "valueSize", sizeOf(btf, map.valueTypeId));
        break;
      case "pinning":
        if (inner) refuse("pinning: maps in maps are not pinned");
        if (number() > 1) refuse(`pinning ${number()}: expected 0, or 1 for LIBBPF_PIN_BY_NAME`);
        map.pinned = number() === 1;
        break;
      case "values":
        if (inner) refuse("values: maps in maps in maps are not supported");
        if (k !== members.length - 1) refuse("values: expected at the end");
        size(member, "valueSize", 4);
        map.inner = defineValues(btf, map, member);
        break;
      default:
        refuse(`unknown field ${member.name}`);
    }
  }
  if (map.type === 0) refuse("it has no type");
  return map;
}

/** What `values` holds: null for programs. */
function defineValues(btf: Btf, map: MapDefinition, member: BtfMember): MapDefinition | null {
  const refuse = (why: string): never => {
    throw new ObjectError("map", `map ${map.name}: values: ${why}`);
  };
  const array = btf.type(member.type);
  const pointer = array.kind === BtfKind.Array && array.count === 0 ? btf.resolved(array.type) : null;
  if (pointer?.kind !== BtfKind.Ptr) return refuse("expected an array without size, as of __array");
  const element = btf.resolved(pointer.type);
  if (map.type === MapType.ProgArray)
    return element.kind === BtfKind.FuncProto ? null : refuse("expected pointers to functions");
  if (!isMapInMap(map.type)) return refuse(`a map of type ${map.type} has neither maps nor programs`);
  return element.kind === BtfKind.Struct
    ? defineMap(btf, `${map.name}.inner`, element, true)
    : refuse("expected pointers to structures");
}

/** Whether maps of a type hold maps. */
export const isMapInMap = (type: number): boolean => type === MapType.ArrayOfMaps || type === MapType.HashOfMaps;

/** The number of `int (*name)[N]`. */
function fieldNumber(btf: Btf, { type }: BtfMember): number | null {
  const pointer = btf.resolved(type);
  const array = pointer.kind === BtfKind.Ptr ? btf.type(pointer.type) : null;
  return array?.kind === BtfKind.Array ? array.count : null;
}

/** The number of `int (*name)[N]`, or of the only value of `enum { ... } name`. */
function fieldLong(btf: Btf, member: BtfMember): bigint | null {
  const type = btf.resolved(member.type);
  if (type.kind === BtfKind.Enum || type.kind === BtfKind.Enum64)
    return type.values.length === 1 ? BigInt.asUintN(64, type.values[0]?.value ?? 0n) : null;
  const number = fieldNumber(btf, member);
  return number === null ? null : BigInt(number);
}

import type { Arena } from "../memory/arena.js";
import type { Rcu } from "../memory/rcu.js";
import type { MapType } from "../uapi/map-types.js";
import { align8, MAP } from "./layout.js";

/** A part of a value that programs and bpf(2) leave alone when they copy values, such as a timer. */
export interface SpecialField {
  /** As the verifier names it: `bpf_timer`, `kptr_ref`, ... */
  readonly kind: string;
  /** Bytes from the start of the value. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** What a value has that no program may touch, as its BTF tells: offsets in bytes. */
export interface ValueFields {
  /** `struct bpf_spin_lock` */
  readonly spinLock: number | null;
  /** All others, by rising offset. Default: none. */
  readonly others?: readonly SpecialField[] | undefined;
}

/** What BPF_MAP_CREATE is told. */
export interface MapDesc {
  readonly type: MapType;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** At most 15 characters. */
  readonly name: string;
  readonly fields?: ValueFields | undefined;
  /** Of a map of maps: one that is like those it is to hold (`inner_map_fd`). It is looked at, not kept. */
  readonly inner?: BpfMap | undefined;
  /** With `MapFlag.NumaNode`: the node; -1 for any. Default: 0. */
  readonly numaNode?: number | undefined;
  /** `map_extra`: of a bloom filter, the number of its hash functions. Default: 0. */
  readonly extra?: bigint | undefined;
}

/** What maps share: memory, the end of readers, and the CPU that a program runs on. */
export interface MapHost {
  readonly arena: Arena;
  readonly rcu: Rcu;
  /** Number of CPUs. */
  readonly cpus: number;
  /** The CPU that is running, from 0. */
  readonly cpu: () => number;
  /** What is in these fields of the value at an offset is given up, objects and lists of them, and the fields become zeros. Default: there is nothing to give up. */
  readonly releaseFields?: (fields: readonly SpecialField[], value: number) => void;
}

/** A negative errno, or 0. */
export type Status = number;

/** Offsets are those of the arena; keys and values lie there. What can fail answers as the kernel's does, with a negative errno. */
export interface BpfMap {
  readonly host: MapHost;
  readonly desc: MapDesc;
  readonly id: number;
  /** The map's pointer. */
  readonly address: number;
  /** The value's offset, 0 if there is none: for per-CPU maps that of the running CPU. */
  lookup(key: number): number;
  update(key: number, value: number, flags: bigint): Status;
  delete(key: number): Status;
  /** Writes the key behind `key`, or the first if that is 0 or gone, to `next`. */
  nextKey(key: number, next: number): Status;
  /** What it holds is gone when no program runs any more. */
  free(): void;
  /** What bpf(2) does to elements, where that is not what programs do. */
  readonly system?: SystemElements;
}

/** A map's elements as bpf(2) sees them (`bpf_map_copy_value`, `bpf_map_update_value`). What is left out is as programs have it. */
export interface SystemElements {
  /** Bytes of a value: of per-CPU kinds those of all CPUs, each a multiple of 8; of maps that hold objects 4. Default: `valueSize`. */
  readonly valueSize?: number;
  /** Copies the value of a key to `value`; -ENOENT if there is none. A map without keys gives its next value. */
  lookup?(key: number, value: number): Status;
  update?(key: number, value: number, flags: bigint): Status;
  /** Lets go of all objects that it holds: the last descriptor of a program array is closed (`map_release_uref`). */
  clear?(): void;
}

/** Allocates a map's words, and writes those that all have. @returns its pointer; 0 if there is no memory */
export function mapHeader(arena: Arena, desc: MapDesc, id: number, size: number): number {
  const at = arena.alloc(size);
  if (at === 0) return 0;
  arena.setU32(at + MAP.kind, desc.type);
  arena.setU32(at + MAP.keySize, desc.keySize);
  arena.setU32(at + MAP.valueSize, desc.valueSize);
  arena.setU32(at + MAP.maxEntries, desc.maxEntries);
  arena.setU32(at + MAP.flags, desc.flags);
  arena.setU32(at + MAP.id, id);
  return at;
}

/** Copies a value without what programs may not touch. */
export function copyValue(arena: Arena, { valueSize, fields }: MapDesc, to: number, from: number): void {
  const bytes = arena.u8;
  let start = 0;
  for (const { offset, size } of specialFields(fields)) {
    bytes.copyWithin(to + start, from + start, from + offset);
    start = offset + size;
  }
  bytes.copyWithin(to + start, from + start, from + valueSize);
}

/** Takes a value of a CPU as bpf(2) has it, a multiple of 8 bytes: what is behind the value comes along. */
export function copyPadded(arena: Arena, desc: MapDesc, to: number, from: number): void {
  if (specialFields(desc.fields).length > 0) copyValue(arena, desc, to, from);
  else arena.u8.copyWithin(to, from, from + align8(desc.valueSize));
}

/** Copies `size` bytes, a value, to where bpf(2) reads it, with zeros in the place of what programs may not touch. */
export function copyOut(arena: Arena, { fields }: MapDesc, to: number, from: number, size: number): void {
  arena.u8.copyWithin(to, from, from + size);
  for (const { offset, size: bytes } of specialFields(fields)) arena.u8.fill(0, to + offset, to + offset + bytes);
}

/** A value is written anew or goes: what its fields hold goes with it (`bpf_obj_free_fields`). */
export function releaseFields({ releaseFields }: MapHost, { fields }: MapDesc, value: number): void {
  const { others = NO_FIELDS } = fields ?? {};
  if (others.length > 0) releaseFields?.(others, value);
}

const LOCK_BYTES = 4;
const NO_FIELDS: readonly SpecialField[] = [];

/** All that a value has besides plain bytes, by rising offset. */
export function specialFields(fields: ValueFields | undefined): readonly SpecialField[] {
  if (fields === undefined) return NO_FIELDS;
  const { spinLock, others = NO_FIELDS } = fields;
  if (spinLock === null) return others;
  const lock = { kind: "bpf_spin_lock", offset: spinLock, size: LOCK_BYTES };
  return others.length === 0 ? [lock] : [...others, lock].sort((a, b) => a.offset - b.offset);
}

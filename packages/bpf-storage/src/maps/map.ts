import type { Arena } from "../memory/arena.js";
import type { Rcu } from "../memory/rcu.js";
import type { MapType } from "../uapi/map-types.js";
import { MAP } from "./layout.js";

/** What a value has that no program may touch, as its BTF tells: offsets in bytes. */
export interface ValueFields {
  /** `struct bpf_spin_lock` */
  readonly spinLock: number | null;
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
}

/** What maps share: memory, the end of readers, and the CPU that a program runs on. */
export interface MapHost {
  readonly arena: Arena;
  readonly rcu: Rcu;
  /** Number of CPUs. */
  readonly cpus: number;
  /** The CPU that is running, from 0. */
  readonly cpu: () => number;
}

/** A negative errno, or 0. */
export type Status = number;

/** Offsets are those of the arena; keys and values lie there. What can fail answers as the kernel's does, with a negative errno. */
export interface BpfMap {
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
  const lock = fields?.spinLock ?? null;
  const bytes = arena.u8;
  if (lock === null) {
    bytes.copyWithin(to, from, from + valueSize);
    return;
  }
  bytes.copyWithin(to, from, from + lock);
  bytes.copyWithin(to + lock + 4, from + lock + 4, from + valueSize);
}

import { BpfError, ERRNO } from "../errors.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import { checkArray } from "./array.js";
import type { HeldObject } from "./descriptors.js";
import { MAP } from "./layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status, type SystemElements } from "./map.js";

/** What the slots of a map hold. */
export interface SlotKind {
  /** The object behind the descriptor that is written; or a negative errno. */
  readonly objectOf: (fd: number) => HeldObject | Status;
  /** Whether bpf(2) can read which it is. */
  readonly readable: boolean;
}

/**
 * An array of what only the kernel has, a word for each slot behind the map's own words: programs, maps, cgroups, or buffers of events. Programs cannot
 * read it, but for pointers to maps (kernel/bpf/arraymap.c, `fd_array_map_alloc_check`).
 */
export class SlotMap implements BpfMap {
  readonly address: number;
  readonly system: SystemElements;
  /** By their slots; null for what somebody else holds. */
  readonly #objects = new Map<number, HeldObject | null>();

  /** @throws {BpfError} EINVAL, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
    readonly kind: SlotKind,
  ) {
    checkSlots(desc);
    const { maxEntries } = desc;
    this.address = maxEntries < 2 ** 28 ? mapHeader(host.arena, desc, id, MAP.own + 4 * maxEntries) : 0;
    if (this.address === 0) throw new BpfError("ENOMEM", `an array of ${maxEntries} objects`);
    this.system = {
      valueSize: 4,
      lookup: (key, value) => this.#tell(key, value),
      clear: () => this.clear(),
    };
  }

  /** The word of a slot. */
  word(index: number): number {
    return index < this.desc.maxEntries ? this.host.arena.u32(this.#slot(index)) : 0;
  }

  /** Sets the word of a slot, of an object that somebody else holds. @throws {BpfError} E2BIG if there is no such slot */
  setWord(index: number, word: number): void {
    if (index >= this.desc.maxEntries)
      throw new BpfError("E2BIG", `slot ${index} of ${this.desc.name}, which has ${this.desc.maxEntries}`);
    this.#set(index, word, null);
  }

  /** The pointer to the map of a slot, or 0. */
  lookup(key: number): number {
    return this.desc.type === MapType.ArrayOfMaps ? this.word(this.host.arena.u32(key)) : -ERRNO.EOPNOTSUPP;
  }

  update(key: number, value: number, flags: bigint): Status {
    const { arena } = this.host;
    if (flags !== 0n) return -ERRNO.EINVAL;
    const index = arena.u32(key);
    if (index >= this.desc.maxEntries) return -ERRNO.E2BIG;
    const object = this.kind.objectOf(arena.u32(value) | 0);
    if (typeof object === "number") return object;
    object.hold();
    this.#set(index, object.word, object);
    return 0;
  }

  delete(key: number): Status {
    const index = this.host.arena.u32(key);
    if (index >= this.desc.maxEntries) return -ERRNO.E2BIG;
    if (this.word(index) === 0) return -ERRNO.ENOENT;
    this.#set(index, 0, null);
    return 0;
  }

  nextKey(key: number, next: number): Status {
    const { arena } = this.host;
    const { maxEntries } = this.desc;
    const index = key === 0 ? maxEntries : arena.u32(key);
    if (index === maxEntries - 1) return -ERRNO.ENOENT;
    arena.setU32(next, index >= maxEntries ? 0 : index + 1);
    return 0;
  }

  /** Empties all slots. */
  clear(): void {
    for (const index of [...this.#objects.keys()]) this.#set(index, 0, null);
  }

  free(): void {
    const { arena, rcu } = this.host;
    this.clear();
    rcu.call(() => arena.free(this.address));
  }

  #tell(key: number, value: number): Status {
    const { arena } = this.host;
    if (!this.kind.readable) return -ERRNO.ENOTSUPP;
    const index = arena.u32(key);
    const word = this.word(index);
    if (word === 0) return -ERRNO.ENOENT;
    // What stands there without an object has no other number.
    arena.setU32(value, this.#objects.get(index)?.id ?? word);
    return 0;
  }

  #slot(index: number): number {
    return this.address + MAP.own + 4 * index;
  }

  #set(index: number, word: number, object: HeldObject | null): void {
    const before = this.#objects.get(index);
    this.host.arena.setU32(this.#slot(index), word);
    if (word === 0) this.#objects.delete(index);
    else this.#objects.set(index, object);
    before?.drop();
  }
}

/** @throws {BpfError} EINVAL, E2BIG for what is no array of descriptors */
export function checkSlots(desc: MapDesc): void {
  const { valueSize, flags } = desc;
  if (valueSize !== 4)
    throw new BpfError("EINVAL", `an array of objects with values of ${valueSize} bytes: expected 4, a descriptor`);
  if ((flags & (MapFlag.RdonlyProg | MapFlag.WronlyProg)) !== 0)
    throw new BpfError(
      "EINVAL",
      `flags 0x${flags.toString(16)} of an array of objects: expected no RdonlyProg or WronlyProg`,
    );
  checkArray(desc);
}

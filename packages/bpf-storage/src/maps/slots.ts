import { BpfError, ERRNO } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import { MAP } from "./layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status } from "./map.js";

const FLAGS = MapFlag.NumaNode | MapFlag.Rdonly | MapFlag.Wronly | MapFlag.PreserveElems | MapFlag.RdonlyProg;

/**
 * An array of what only the kernel has, a word for each slot behind the map's own words: programs, or buffers of events. Programs cannot read it, and
 * what a slot holds is a matter of who made the map.
 */
export class SlotMap implements BpfMap {
  readonly address: number;

  /** @throws {BpfError} EINVAL, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
    /** The word for a value that is written, the descriptor of an object; or a negative errno. */
    readonly wordOf: (value: number) => number,
    /** A slot does not hold this word any more. */
    readonly dropped: (word: number) => void = () => undefined,
  ) {
    const { keySize, valueSize, maxEntries, flags } = desc;
    if (keySize !== 4 || valueSize !== 4 || maxEntries === 0)
      throw new BpfError(
        "EINVAL",
        `an array of objects with keys of ${keySize} and ${maxEntries} values of ${valueSize} bytes: expected 4, at least 1, and 4`,
      );
    if ((flags & ~FLAGS) !== 0) throw new BpfError("EINVAL", `flags 0x${flags.toString(16)} of an array of objects`);
    this.address = maxEntries < 2 ** 28 ? mapHeader(host.arena, desc, id, MAP.own + 4 * maxEntries) : 0;
    if (this.address === 0) throw new BpfError("ENOMEM", `an array of ${maxEntries} objects`);
  }

  /** The word of a slot. */
  word(index: number): number {
    return index < this.desc.maxEntries ? this.host.arena.u32(this.#slot(index)) : 0;
  }

  /** Sets the word of a slot. @throws {BpfError} E2BIG if there is no such slot */
  setWord(index: number, word: number): void {
    if (index >= this.desc.maxEntries)
      throw new BpfError("E2BIG", `slot ${index} of ${this.desc.name}, which has ${this.desc.maxEntries}`);
    this.#set(index, word);
  }

  lookup(): number {
    return -ERRNO.EOPNOTSUPP;
  }

  update(key: number, value: number, flags: bigint): Status {
    const { arena } = this.host;
    if (flags !== 0n) return -ERRNO.EINVAL;
    const index = arena.u32(key);
    if (index >= this.desc.maxEntries) return -ERRNO.E2BIG;
    const word = this.wordOf(arena.u32(value));
    if (word < 0) return word;
    this.#set(index, word);
    return 0;
  }

  delete(key: number): Status {
    const index = this.host.arena.u32(key);
    if (index >= this.desc.maxEntries) return -ERRNO.E2BIG;
    if (this.word(index) === 0) return -ERRNO.ENOENT;
    this.#set(index, 0);
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

  free(): void {
    const { arena, rcu } = this.host;
    rcu.call(() => {
      for (let index = 0; index < this.desc.maxEntries; index++) this.#set(index, 0);
      arena.free(this.address);
    });
  }

  #slot(index: number): number {
    return this.address + MAP.own + 4 * index;
  }

  #set(index: number, word: number): void {
    const { arena, rcu } = this.host;
    const before = arena.u32(this.#slot(index));
    arena.setU32(this.#slot(index), word);
    if (before !== 0) rcu.call(() => this.dropped(before));
  }
}

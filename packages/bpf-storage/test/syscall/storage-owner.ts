import { type Generation, MapFlag, MapType } from "../../src/index.js";
import { Caller, type CallerDesc } from "./caller.js";
import { type StorageTypes, storageTypes } from "./storage-types.js";

export const TYPES = storageTypes([60000, 65407, 65408]);

const ALL = { tasks: MapType.TaskStorage, inodes: MapType.InodeStorage, sockets: MapType.SkStorage } as const;
export const KINDS = { ...ALL, cgroups: MapType.CgrpStorage } as const;
export type Kind = keyof typeof KINDS;

/** Kinds of owners that a generation has. */
export const kindsOf = (generation: Generation): Kind[] =>
  generation === "6.1" ? ["tasks", "inodes", "sockets"] : ["tasks", "inodes", "sockets", "cgroups"];

/** A caller with its types, which makes maps of storage. */
export class Owner extends Caller {
  readonly types: StorageTypes = TYPES;
  readonly btf: number;

  constructor(desc: CallerDesc = {}) {
    super(desc);
    this.btf = this.loadBtf(TYPES.bytes);
  }

  /** @param change words of the attributes by their offsets */
  storage(kind: Kind, value: number = this.types.int, valueSize = 4, change: Record<number, number> = {}): number {
    const words = { 16: MapFlag.NoPrealloc, 48: this.btf, 52: this.types.int, 56: value, ...change };
    return this.mapCreate(change[0] ?? KINDS[kind], change[4] ?? 4, change[8] ?? valueSize, change[12] ?? 0, words);
  }

  get(map: number, fd: number): number {
    const at = this.room(4);
    const status = this.lookup(map, this.words(fd), at);
    return status < 0 ? status : this.u32(at);
  }

  set = (map: number, fd: number, value: number, flags = 0n): number =>
    this.update(map, this.words(fd), this.words(value), flags);
}

import { ERRNO } from "../errors.js";
import type { Status } from "../maps/map.js";
import { SELEM } from "./layout.js";
import type { LocalStorages } from "./local-storages.js";
import type { StorageMap } from "./storage-map.js";

/** Behaviour of Linux 5.13 to 6.1, or of 6.2 to 6.19. */
export type Generation = "6.1" | "6.12";
/** `BPF_LOCAL_STORAGE_GET_F_CREATE` */
export const GET_CREATE = 1n;
const NOEXIST = 1n;

/** Who is kept from changing anything on a CPU that is inside already: before 6.2, all whenever it is not nobody. */
export type Guard = "nobody" | "recursive" | "all";

/** How helpers of one kind of owners differ from those of others. */
export interface HelperRules {
  /** Nobody where functions of storage cannot be traced, programs that can recurse where there are helpers of both flavours. */
  readonly guard: Guard;
  /** Whether delete takes a reference to the owner, and so leaves alone what nobody refers to any more. */
  readonly refers: boolean;
}

export interface StorageHelpersDesc {
  readonly storages: LocalStorages;
  readonly generation: Generation;
  readonly rules: HelperRules;
}

/**
 * The helpers `bpf_*_storage_get` and `_delete`, and the busy counters of their CPUs. In generation 6.1 a busy CPU gets nothing; in 6.12 what is there, and
 * of tasks programs that cannot recurse are not kept from anything.
 */
export class StorageHelpers {
  readonly #storages: LocalStorages;
  readonly #generation: Generation;
  readonly #rules: HelperRules;
  readonly #busy: Uint32Array;

  constructor({ storages, generation, rules }: StorageHelpersDesc) {
    this.#storages = storages;
    this.#generation = generation;
    this.#rules = rules;
    this.#busy = new Uint32Array(storages.host.cpus);
  }

  /** Times that the running CPU is inside. */
  get busy(): number {
    return this.#busy[this.#storages.host.cpu()] as number;
  }

  /** A system call is inside, whoever else is (`bpf_task_storage_lock`). */
  within<T>(call: () => T): T {
    const cpu = this.#storages.host.cpu();
    (this.#busy[cpu] as number)++;
    try {
      return call();
    } finally {
      (this.#busy[cpu] as number)--;
    }
  }

  /**
   * The value that the object at `hi:lo` has in a map; 0 if it has none.
   * @param value what a new one is copied from; 0 for zeros
   * @param recur whether the program is of a kind that can recurse: tracing, and all but lsm and struct_ops
   */
  get(map: StorageMap, lo: number, hi: number, value: number, flags: bigint, recur: boolean): number {
    if ((flags & ~GET_CREATE) !== 0n || (lo === 0 && hi === 0)) return 0;
    const { owners } = this.#storages;
    const cell = owners.cell(lo, hi);
    if (cell === 0) return 0;
    const free = !this.#kept(recur);
    if (!free && this.#generation === "6.1") return 0;
    const find = (): number => {
      const selem = this.#storages.lookup(cell, map, free);
      if (selem !== 0) return selem + SELEM.value;
      if (flags !== GET_CREATE || !free || !owners.live(cell)) return 0;
      const made = this.#storages.update(cell, map, value, NOEXIST);
      return made < 0 ? 0 : made + SELEM.value;
    };
    return free ? this.within(find) : find();
  }

  /** Deletes the value that the object at `hi:lo` has in a map. */
  delete(map: StorageMap, lo: number, hi: number, recur: boolean): Status {
    if (lo === 0 && hi === 0) return -ERRNO.EINVAL;
    const { owners } = this.#storages;
    const { guard, refers } = this.#rules;
    const cell = owners.cell(lo, hi);
    if (cell === 0) return refers ? -ERRNO.EINVAL : -ERRNO.ENOENT;
    if (refers && !owners.live(cell)) return -ERRNO.ENOENT;
    if (!this.#kept(recur)) return this.within(() => this.#storages.delete(cell, map));
    if (this.#generation === "6.1" || guard === "all") return -ERRNO.EBUSY;
    return this.#storages.lookup(cell, map, false) === 0 ? -ERRNO.ENOENT : -ERRNO.EBUSY;
  }

  #kept(recur: boolean): boolean {
    const { guard } = this.#rules;
    return guard !== "nobody" && this.busy > 0 && (recur || guard === "all" || this.#generation === "6.1");
  }
}

import { BpfError, ERRNO } from "../errors.js";
import { MapFlag, MapType, UpdateFlag } from "../uapi/map-types.js";
import { ACCESS_FLAGS, checkFlags, checkSizes, hasNode, PER_CPU_MOST } from "./checks.js";
import { checkFlagBits, checkUpdateFlags, wantsLock } from "./flags.js";
import { ARRAY, align8 } from "./layout.js";
import {
  type BpfMap,
  copyOut,
  copyPadded,
  copyValue,
  type MapDesc,
  type MapHost,
  mapHeader,
  releaseFields,
  type Status,
  type SystemElements,
} from "./map.js";

const FLAGS = MapFlag.NumaNode | ACCESS_FLAGS;
/** Bytes of a value at most (`INT_MAX`). */
const VALUE_MOST = 0x7fffffff;

/**
 * What all arrays have in common, also those of objects (`array_map_alloc_check`).
 * @throws {BpfError} EINVAL, E2BIG
 */
export function checkArray(desc: MapDesc): void {
  const { type, keySize, valueSize, maxEntries } = desc;
  const perCpu = type === MapType.PercpuArray;
  const sized = maxEntries !== 0 && keySize === 4 && valueSize !== 0;
  checkSizes(desc, "an array", sized, "keys of 4 bytes and at least one value of at least 1");
  const own = type === MapType.Array ? MapFlag.Mmapable | MapFlag.InnerMap : 0;
  checkFlags(desc, FLAGS | own | (type === MapType.PerfEventArray ? MapFlag.PreserveElems : 0), "an array");
  if (perCpu && hasNode(desc)) throw new BpfError("EINVAL", "an array for each CPU on one node: expected no NumaNode");
  const most = perCpu ? PER_CPU_MOST : VALUE_MOST;
  if (valueSize > most) throw new BpfError("E2BIG", `values of ${valueSize} bytes: expected at most ${most}`);
}

/** An array, or one for each CPU (kernel/bpf/arraymap.c). Its values are there from the beginning, and cannot be deleted. */
export class ArrayMap implements BpfMap {
  readonly address: number;
  readonly #elements: number;
  readonly #stride: number;
  readonly #perCpu: boolean;
  readonly system: SystemElements;

  /** @throws {BpfError} EINVAL, E2BIG, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
  ) {
    const { valueSize, maxEntries } = desc;
    checkArray(desc);
    this.#perCpu = desc.type === MapType.PercpuArray;
    this.#stride = align8(valueSize);
    const { arena, cpus } = host;
    const size = this.#stride * maxEntries * (this.#perCpu ? cpus : 1);
    this.#elements = size < 2 ** 32 ? arena.alloc(size) : 0;
    this.address = this.#elements === 0 ? 0 : mapHeader(arena, desc, id, ARRAY.size);
    if (this.address === 0) {
      if (this.#elements !== 0) arena.free(this.#elements);
      throw new BpfError("ENOMEM", `an array of ${size} bytes`);
    }
    arena.setU32(this.address + ARRAY.elements, this.#elements);
    arena.setU32(this.address + ARRAY.stride, this.#stride);
    arena.setU32(this.address + ARRAY.perCpu, this.#perCpu ? this.#stride * maxEntries : 0);
    this.system = this.#perCpu ? this.#allCpus() : { lookup: (key, value) => this.#copy(key, value) };
  }

  /** Offset of the first value, from which on they lie in memory. */
  get elements(): number {
    return this.#elements;
  }

  lookup(key: number): number {
    return this.at(this.host.arena.u32(key), this.host.cpu());
  }

  /** The value of a CPU; of an array that all share, of any. */
  at(index: number, cpu: number): number {
    const { maxEntries } = this.desc;
    if (index >= maxEntries) return 0;
    return this.#elements + ((this.#perCpu ? cpu * maxEntries : 0) + index) * this.#stride;
  }

  update(key: number, value: number, flags: bigint): Status {
    const { arena, cpu } = this.host;
    const index = arena.u32(key);
    const wrong = this.#refused(index, flags);
    if (wrong !== 0) return wrong;
    if (wantsLock(flags)) {
      const locked = checkUpdateFlags(this.desc, flags);
      if (locked !== 0) return locked;
    }
    const at = this.at(index, cpu());
    copyValue(arena, this.desc, at, value);
    releaseFields(this.host, this.desc, at);
    return 0;
  }

  /** In the order in which the kernel looks: flags, index, and that everything exists already. */
  #refused(index: number, flags: bigint): Status {
    if (!checkFlagBits(flags)) return -ERRNO.EINVAL;
    if (index >= this.desc.maxEntries) return -ERRNO.E2BIG;
    return (flags & BigInt(UpdateFlag.NoExist)) !== 0n ? -ERRNO.EEXIST : 0;
  }

  delete(): Status {
    return -ERRNO.EINVAL;
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
    const { arena, rcu, cpus } = this.host;
    rcu.call(() => {
      if (this.desc.fields?.others !== undefined)
        for (let index = 0; index < this.desc.maxEntries; index++)
          for (let cpu = 0; cpu < (this.#perCpu ? cpus : 1); cpu++)
            releaseFields(this.host, this.desc, this.at(index, cpu));
      arena.free(this.#elements);
      arena.free(this.address);
    });
  }

  #copy(key: number, value: number): Status {
    const { arena } = this.host;
    const from = this.at(arena.u32(key), 0);
    if (from === 0) return -ERRNO.ENOENT;
    copyOut(arena, this.desc, value, from, this.desc.valueSize);
    return 0;
  }

  /** `bpf_percpu_array_copy`, `bpf_percpu_array_update` */
  #allCpus(): SystemElements {
    const { arena, cpus } = this.host;
    return {
      valueSize: this.#stride * cpus,
      lookup: (key, value) => {
        const index = arena.u32(key);
        if (index >= this.desc.maxEntries) return -ERRNO.ENOENT;
        for (let cpu = 0; cpu < cpus; cpu++)
          copyOut(arena, this.desc, value + cpu * this.#stride, this.at(index, cpu), this.#stride);
        return 0;
      },
      update: (key, value, flags) => {
        const index = arena.u32(key);
        const wrong = wantsLock(flags) ? -ERRNO.EINVAL : this.#refused(index, flags);
        if (wrong !== 0) return wrong;
        for (let cpu = 0; cpu < cpus; cpu++) {
          copyPadded(arena, this.desc, this.at(index, cpu), value + cpu * this.#stride);
          releaseFields(this.host, this.desc, this.at(index, cpu));
        }
        return 0;
      },
    };
  }
}

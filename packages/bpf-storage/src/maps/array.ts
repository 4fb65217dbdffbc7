import { BpfError, ERRNO } from "../errors.js";
import { MapFlag, MapType, UpdateFlag } from "../uapi/map-types.js";
import { checkUpdateFlags } from "./flags.js";
import { ARRAY, align8 } from "./layout.js";
import { type BpfMap, copyValue, type MapDesc, type MapHost, mapHeader, type Status } from "./map.js";

const FLAGS =
  MapFlag.NumaNode |
  MapFlag.Mmapable |
  MapFlag.Rdonly |
  MapFlag.Wronly |
  MapFlag.RdonlyProg |
  MapFlag.WronlyProg |
  MapFlag.PreserveElems |
  MapFlag.InnerMap;
/** Bytes that the kernel allocates at once, at most (`KMALLOC_MAX_SIZE`). */
const VALUE_MOST = 4 << 20;

/** An array, or one for each CPU (kernel/bpf/arraymap.c). Its values are there from the beginning, and cannot be deleted. */
export class ArrayMap implements BpfMap {
  readonly address: number;
  readonly #elements: number;
  readonly #stride: number;
  readonly #perCpu: boolean;

  /** @throws {BpfError} EINVAL, E2BIG, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
  ) {
    const { keySize, valueSize, maxEntries, flags } = desc;
    this.#perCpu = desc.type === MapType.PercpuArray;
    if (keySize !== 4) throw new BpfError("EINVAL", `an array with keys of ${keySize} bytes: expected 4`);
    if (maxEntries === 0 || valueSize === 0)
      throw new BpfError("EINVAL", `an array of ${maxEntries} values of ${valueSize} bytes: expected at least 1`);
    if ((flags & ~FLAGS) !== 0) throw new BpfError("EINVAL", `flags 0x${flags.toString(16)} of an array`);
    if (valueSize > VALUE_MOST)
      throw new BpfError("E2BIG", `values of ${valueSize} bytes: expected at most ${VALUE_MOST}`);
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
    const wrong = checkUpdateFlags(this.desc, flags);
    if (wrong !== 0) return wrong;
    const { arena } = this.host;
    const index = arena.u32(key);
    if (index >= this.desc.maxEntries) return -ERRNO.E2BIG;
    if ((flags & BigInt(UpdateFlag.NoExist)) !== 0n) return -ERRNO.EEXIST;
    copyValue(arena, this.desc, this.at(index, this.host.cpu()), value);
    return 0;
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
    const { arena, rcu } = this.host;
    rcu.call(() => {
      arena.free(this.#elements);
      arena.free(this.address);
    });
  }
}

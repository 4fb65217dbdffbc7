import { BpfError, ERRNO } from "../errors.js";
import { MapFlag, MapType, UpdateFlag } from "../uapi/map-types.js";
import { ACCESS_FLAGS, checkFlags, checkSizes, KMALLOC_MOST } from "./checks.js";
import { align8, MAP } from "./layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status, type SystemElements } from "./map.js";

const FLAGS = MapFlag.NumaNode | ACCESS_FLAGS;
/** What the values and one more must stay below: bytes (`U32_MAX`). */
const BYTES_MOST = 0xffffffff;

/** A queue or a stack of values without keys (kernel/bpf/queue_stack_maps.c). */
export class QueueMap implements BpfMap {
  readonly address: number;
  readonly #values: number;
  readonly #stride: number;
  readonly #lastFirst: boolean;
  readonly system: SystemElements = { lookup: (_key, value) => this.next(value, false) };
  /** Where the oldest value lies, and how many there are. */
  #oldest = 0;
  #count = 0;

  /** @throws {BpfError} EINVAL, E2BIG, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
  ) {
    const { type, keySize, valueSize, maxEntries } = desc;
    const sized = keySize === 0 && valueSize !== 0 && maxEntries !== 0;
    checkSizes(desc, "a queue", sized, "no keys, and at least one value of at least 1 byte");
    checkFlags(desc, FLAGS, "a queue");
    if (valueSize > KMALLOC_MOST || maxEntries >= Math.floor(BYTES_MOST / valueSize))
      throw new BpfError(
        "E2BIG",
        `a queue of ${maxEntries} values of ${valueSize} bytes: expected at most ${KMALLOC_MOST}, and less than 4 GiB`,
      );
    this.#lastFirst = type === MapType.Stack;
    this.#stride = align8(valueSize);
    const size = this.#stride * maxEntries;
    this.#values = size < 2 ** 32 ? host.arena.alloc(size) : 0;
    this.address = this.#values === 0 ? 0 : mapHeader(host.arena, desc, id, MAP.own);
    if (this.address !== 0) return;
    if (this.#values !== 0) host.arena.free(this.#values);
    throw new BpfError("ENOMEM", `a queue of ${size} bytes`);
  }

  /** Puts in a value, with BPF_EXIST in the place of the oldest if there is no room. */
  push(value: number, flags: bigint): Status {
    const { valueSize, maxEntries } = this.desc;
    const replace = flags === BigInt(UpdateFlag.Exist);
    if (flags !== 0n && !replace) return -ERRNO.EINVAL;
    if (this.#count === maxEntries) {
      if (!replace) return -ERRNO.E2BIG;
      this.#oldest = (this.#oldest + 1) % maxEntries;
      this.#count--;
    }
    this.host.arena.u8.copyWithin(this.#at(this.#count), value, value + valueSize);
    this.#count++;
    return 0;
  }

  /** Copies the next value; zeros, and -ENOENT, if there is none. @param take whether it is not there afterwards */
  next(to: number, take: boolean): Status {
    const bytes = this.host.arena.u8;
    const { valueSize, maxEntries } = this.desc;
    if (this.#count === 0) {
      bytes.fill(0, to, to + valueSize);
      return -ERRNO.ENOENT;
    }
    const from = this.#at(this.#lastFirst ? this.#count - 1 : 0);
    bytes.copyWithin(to, from, from + valueSize);
    if (!take) return 0;
    if (!this.#lastFirst) this.#oldest = (this.#oldest + 1) % maxEntries;
    this.#count--;
    return 0;
  }

  /** Where the values are, in the order in which they come. */
  *values(): Generator<number> {
    for (let k = 0; k < this.#count; k++) yield this.#at(this.#lastFirst ? this.#count - 1 - k : k);
  }

  lookup(): number {
    return 0;
  }

  update(_key: number, value: number, flags: bigint): Status {
    return this.push(value, flags);
  }

  delete(): Status {
    return -ERRNO.EINVAL;
  }

  nextKey(): Status {
    return -ERRNO.EINVAL;
  }

  free(): void {
    const { arena, rcu } = this.host;
    rcu.call(() => {
      arena.free(this.#values);
      arena.free(this.address);
    });
  }

  /** Where the value is that came `k`-th of those that are here. */
  #at(k: number): number {
    return this.#values + ((this.#oldest + k) % this.desc.maxEntries) * this.#stride;
  }
}

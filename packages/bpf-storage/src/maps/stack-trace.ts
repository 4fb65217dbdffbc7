import { BpfError, ERRNO } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import { checkSizes } from "./checks.js";
import { UsedGroups } from "./groups.js";
import { jhash } from "./jhash.js";
import { MAP } from "./layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status, type SystemElements } from "./map.js";

const FLAGS = MapFlag.NumaNode | MapFlag.Rdonly | MapFlag.Wronly | MapFlag.StackBuildId;
/** Return addresses of a stack at most (`kernel.perf_event_max_stack`). */
export const DEPTH_MOST = 127;
/** Bytes of an address, and of `struct bpf_stack_build_id`: its status, a build id of 20 bytes, and an offset or the address. */
const IP = 8;
const BUILD_ID = { size: 32, address: 24, statusIp: 2 };
/** A stack: its hash, how many addresses there are, and these. */
const BUCKET = { hash: 0, count: 4, data: 8 };
const ENTRIES_MOST = 2 ** 31;

/** Flags of bpf_get_stackid. */
export const StackFlag = { SkipMask: 0xff, UserStack: 1 << 8, FastStackCmp: 1 << 9, ReuseStackid: 1 << 10 } as const;
const STACK_FLAGS = StackFlag.SkipMask | StackFlag.UserStack | StackFlag.FastStackCmp | StackFlag.ReuseStackid;

/** Stacks by a number that is made of what is in them (kernel/bpf/stackmap.c). */
export class StackTraceMap implements BpfMap {
  readonly address: number;
  readonly system: SystemElements;
  /** A word for each number: the stack, or 0. */
  readonly #buckets: number;
  readonly #count: number;
  readonly #groups: UsedGroups;
  /** Where the addresses are that are put in. */
  readonly #given: number;
  readonly #withBuildId: boolean;
  #used = 0;

  /** @throws {BpfError} EINVAL, E2BIG, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
  ) {
    const { keySize, valueSize, maxEntries, flags } = desc;
    if ((flags & ~FLAGS) !== 0)
      throw new BpfError("EINVAL", `flags 0x${flags.toString(16)} of stacks: expected NumaNode, StackBuildId or none`);
    this.#withBuildId = (flags & MapFlag.StackBuildId) !== 0;
    const each = this.#withBuildId ? BUILD_ID.size : IP;
    const most = each * DEPTH_MOST;
    const sized = maxEntries !== 0 && keySize === 4 && valueSize >= IP && valueSize % each === 0 && valueSize <= most;
    checkSizes(
      desc,
      "stacks",
      sized,
      `keys of 4 bytes and at least one value of a multiple of ${each}, at most ${most}`,
    );
    if (maxEntries > ENTRIES_MOST)
      throw new BpfError("E2BIG", `${maxEntries} stacks: expected at most ${ENTRIES_MOST}`);
    const { arena } = host;
    this.#count = 2 ** Math.ceil(Math.log2(maxEntries));
    this.#buckets = this.#count < 2 ** 30 ? arena.alloc(4 * this.#count) : 0;
    this.#given = this.#buckets === 0 ? 0 : arena.alloc(IP * DEPTH_MOST);
    this.address = this.#given === 0 ? 0 : mapHeader(arena, desc, id, MAP.own);
    if (this.address === 0) {
      for (const block of [this.#buckets, this.#given]) if (block !== 0) arena.free(block);
      throw new BpfError("ENOMEM", `${this.#count} stacks`);
    }
    this.#groups = new UsedGroups(this.#count);
    this.system = { lookup: (key, value) => this.#copy(arena.u32(key), value) };
  }

  /** Addresses that are kept of a stack at most, and those that are skipped before: what bpf_get_stackid asks for. */
  depth(flags: number): number {
    const each = this.#withBuildId ? BUILD_ID.size : IP;
    return Math.min(DEPTH_MOST, Math.floor(this.desc.valueSize / each) + (flags & StackFlag.SkipMask));
  }

  /**
   * Puts in a stack, as bpf_get_stackid does. Where the map is to have build ids it has addresses, as where Linux finds none.
   * @param ips return addresses, the innermost first, in halves of 32 bits, the lower first
   * @param flags those of bpf_get_stackid (`StackFlag`)
   * @returns its number; -EINVAL for flags that are none, -EFAULT if all of it is skipped, -EEXIST if another has its number and stays,
   * -ENOMEM if the map is full
   */
  insert(ips: Uint32Array, flags: number): Status {
    const { arena } = this.host;
    if ((flags & ~STACK_FLAGS) !== 0) return -ERRNO.EINVAL;
    const skip = flags & StackFlag.SkipMask;
    const depth = this.depth(flags);
    const all = Math.min(ips.length >>> 1, depth);
    if (all <= skip) return -ERRNO.EFAULT;
    const count = all - skip;
    const bytes = IP * count;
    arena.u8.set(new Uint8Array(ips.buffer, ips.byteOffset + IP * skip, bytes), this.#given);
    const hash = jhash(arena, this.#given, bytes, 0);
    const number = (hash & (this.#count - 1)) >>> 0;
    const at = this.#buckets + 4 * number;
    const there = arena.u32(at);
    const alike = there !== 0 && arena.u32(there + BUCKET.hash) === hash;
    if (alike && (flags & StackFlag.FastStackCmp) !== 0) return number;
    // Where there are build ids, the stack is made before it is compared.
    if (this.#withBuildId && this.#used === this.desc.maxEntries) return -ERRNO.ENOMEM;
    if (alike && arena.u32(there + BUCKET.count) === count && this.#same(there + BUCKET.data, count)) return number;
    if (there !== 0 && (flags & StackFlag.ReuseStackid) === 0) return -ERRNO.EEXIST;
    if (this.#used === this.desc.maxEntries) return -ERRNO.ENOMEM;
    const bucket = this.#stack(hash, count);
    if (bucket === 0) return -ERRNO.ENOMEM;
    arena.setU32(at, bucket);
    this.#groups.use(number);
    this.#used++;
    if (there !== 0) this.#gone(there);
    return number;
  }

  /** Programs cannot read stacks. */
  lookup(): number {
    return -ERRNO.EOPNOTSUPP;
  }

  update(): Status {
    return -ERRNO.EINVAL;
  }

  delete(key: number): Status {
    const { arena } = this.host;
    const number = arena.u32(key);
    if (number >= this.#count) return -ERRNO.E2BIG;
    const at = this.#buckets + 4 * number;
    const bucket = arena.u32(at);
    if (bucket === 0) return -ERRNO.ENOENT;
    arena.setU32(at, 0);
    this.#gone(bucket);
    return 0;
  }

  nextKey(key: number, next: number): Status {
    const { arena } = this.host;
    const there = (number: number): boolean => arena.u32(this.#buckets + 4 * number) !== 0;
    const before = key === 0 ? this.#count : arena.u32(key);
    let number = this.#groups.next(before < this.#count && there(before) ? before + 1 : 0);
    while (number < this.#count && !there(number)) number = this.#groups.next(number + 1);
    if (number === this.#count) return -ERRNO.ENOENT;
    arena.setU32(next, number);
    return 0;
  }

  free(): void {
    const { arena, rcu } = this.host;
    rcu.call(() => {
      for (let number = this.#groups.next(0); number < this.#count; number = this.#groups.next(number + 1)) {
        const bucket = arena.u32(this.#buckets + 4 * number);
        if (bucket !== 0) arena.free(bucket);
      }
      for (const block of [this.#buckets, this.#given, this.address]) arena.free(block);
    });
  }

  #copy(number: number, value: number): Status {
    const { arena } = this.host;
    const { valueSize } = this.desc;
    const bucket = number < this.#count ? arena.u32(this.#buckets + 4 * number) : 0;
    if (bucket === 0) return -ERRNO.ENOENT;
    const bytes = arena.u32(bucket + BUCKET.count) * (this.#withBuildId ? BUILD_ID.size : IP);
    arena.u8.copyWithin(value, bucket + BUCKET.data, bucket + BUCKET.data + bytes);
    arena.u8.fill(0, value + bytes, value + valueSize);
    return 0;
  }

  /** Whether a stack has the addresses that are given. */
  #same(data: number, count: number): boolean {
    const { arena } = this.host;
    const [step, first] = this.#withBuildId ? [BUILD_ID.size, BUILD_ID.address] : [IP, 0];
    for (let k = 0; k < count; k++)
      for (const half of [0, 4])
        if (arena.u32(data + k * step + first + half) !== arena.u32(this.#given + IP * k + half)) return false;
    return true;
  }

  /** The addresses that are given, as the map keeps them; 0 if there is no memory. */
  #stack(hash: number, count: number): number {
    const { arena } = this.host;
    const bucket = arena.alloc(BUCKET.data + this.desc.valueSize);
    if (bucket === 0) return 0;
    arena.setU32(bucket + BUCKET.hash, hash);
    arena.setU32(bucket + BUCKET.count, count);
    const data = bucket + BUCKET.data;
    const from = (k: number): number => this.#given + IP * k;
    if (!this.#withBuildId) arena.u8.copyWithin(data, from(0), from(count));
    else
      for (let k = 0; k < count; k++) {
        arena.setU32(data + k * BUILD_ID.size, BUILD_ID.statusIp);
        arena.u8.copyWithin(data + k * BUILD_ID.size + BUILD_ID.address, from(k), from(k + 1));
      }
    return bucket;
  }

  #gone(bucket: number): void {
    this.#used--;
    this.host.arena.free(bucket);
  }
}

import { BpfError, ERRNO } from "../errors.js";
import { MapType } from "../uapi/map-types.js";
import { checkHash } from "./check-hash.js";
import { checkPresence, checkUpdateFlags, wantsLock } from "./flags.js";
import { UsedGroups } from "./groups.js";
import { align8, ELEMENT, HASH } from "./layout.js";
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

/** The hash of the `size` bytes at `at`, as generated code computes it too: words, then bytes, multiplied in and rotated (after FNV and Murmur). */
export function hashOf(bytes: DataView, at: number, size: number): number {
  let hash = size;
  let k = 0;
  for (; k + 4 <= size; k += 4) hash = mixed(hash, bytes.getUint32(at + k, true));
  for (; k < size; k++) hash = mixed(hash, bytes.getUint8(at + k));
  return (hash ^ (hash >>> 16)) >>> 0;
}

export const HASH_MULTIPLIER = 0x9e3779b1;
export const HASH_ROTATION = 13;
function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, HASH_MULTIPLIER);
  return (product << HASH_ROTATION) | (product >>> (32 - HASH_ROTATION));
}

/**
 * A hash table, or one with a value for each CPU (kernel/bpf/hashtab.c). A table of the least recently used makes room by deleting what nobody has looked
 * up for longest, where Linux finds something that has not been for long.
 */
export class HashMap implements BpfMap {
  readonly address: number;
  readonly #buckets: number;
  readonly #mask: number;
  readonly #groups: UsedGroups;
  /** Bytes from an element to its value. */
  readonly #value: number;
  readonly #stride: number;
  readonly #perCpu: boolean;
  /** Elements, the one that was used last behind all others; null if nothing has to go for want of room. */
  readonly #recent: Set<number> | null;
  readonly system: SystemElements;
  #count = 0;

  /**
   * @param released told the offset of a value that is in the table no more, before it is freed
   * @throws {BpfError} EINVAL, E2BIG, ENOMEM; ENOTSUPP for a table of the least recently used that is not allocated at once
   */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
    readonly released: (value: number) => void = () => undefined,
  ) {
    const { keySize, valueSize, maxEntries } = desc;
    checkHash(desc);
    this.#perCpu = desc.type === MapType.PercpuHash || desc.type === MapType.LruPercpuHash;
    this.#recent = desc.type === MapType.LruHash || desc.type === MapType.LruPercpuHash ? new Set() : null;
    this.#value = ELEMENT.key + align8(keySize);
    this.#stride = align8(valueSize);
    const { arena } = host;
    const chains = 2 ** Math.ceil(Math.log2(maxEntries));
    this.#mask = chains - 1;
    this.#buckets = chains < 2 ** 30 ? arena.alloc(4 * chains) : 0;
    this.address = this.#buckets === 0 ? 0 : mapHeader(arena, desc, id, HASH.size);
    if (this.address === 0) {
      if (this.#buckets !== 0) arena.free(this.#buckets);
      throw new BpfError("ENOMEM", `a hash table of ${chains} chains`);
    }
    this.#groups = new UsedGroups(chains);
    arena.setU32(this.address + HASH.buckets, this.#buckets);
    arena.setU32(this.address + HASH.mask, this.#mask);
    arena.setU32(this.address + HASH.value, this.#value);
    arena.setU32(this.address + HASH.perCpu, this.#perCpu ? this.#stride : 0);
    this.system = this.#perCpu
      ? {
          valueSize: this.#stride * host.cpus,
          lookup: (key, value) => this.#copy(key, value),
          update: (key, value, flags) => this.#update(key, value, flags, true),
        }
      : { lookup: (key, value) => this.#copy(key, value) };
  }

  /** Elements. */
  get count(): number {
    return this.#count;
  }

  lookup(key: number): number {
    const element = this.#find(key).at;
    this.#used(element);
    return element === 0 ? 0 : this.valueOf(element, this.host.cpu());
  }

  /** The value of a CPU. */
  valueOf(element: number, cpu: number): number {
    return element + this.#value + (this.#perCpu ? cpu * this.#stride : 0);
  }

  /** The value of a key on a CPU; 0 if there is none. */
  at(key: number, cpu: number): number {
    const element = this.#find(key).at;
    return element === 0 ? 0 : this.valueOf(element, cpu);
  }

  update(key: number, value: number, flags: bigint): Status {
    return this.#update(key, value, flags, false);
  }

  /** @param everywhere whether the value is one for each CPU, as bpf(2) has it */
  #update(key: number, value: number, flags: bigint, everywhere: boolean): Status {
    const { arena, cpus } = this.host;
    const wrong = checkUpdateFlags(this.desc, flags);
    if (wrong !== 0) return wrong;
    const found = this.#find(key);
    const refused = checkPresence(found.at !== 0, flags);
    if (refused !== 0) return refused;
    if (found.at !== 0 && (this.#perCpu || wantsLock(flags))) {
      this.#write(found.at, value, everywhere);
      if (this.#perCpu) this.#releaseFields(found.at);
      this.#used(found.at);
      return 0;
    }
    if (found.at === 0 && this.#count >= this.desc.maxEntries) {
      const [unused] = this.#recent ?? [];
      if (unused === undefined) return -ERRNO.E2BIG;
      this.delete(unused + ELEMENT.key);
      return this.#update(key, value, flags, everywhere);
    }
    const element = arena.alloc(this.#value + this.#stride * (this.#perCpu ? cpus : 1));
    if (element === 0) return -ERRNO.ENOMEM;
    arena.setU32(element + ELEMENT.hash, found.hash);
    arena.u8.copyWithin(element + ELEMENT.key, key, key + this.desc.keySize);
    this.#write(element, value, everywhere);
    // What a program holds of the element before stays as it is.
    const next = found.at === 0 ? arena.u32(found.link) : arena.u32(found.at + ELEMENT.next);
    arena.setU32(element + ELEMENT.next, next);
    arena.setU32(found.link, element);
    this.#groups.use((found.hash & this.#mask) >>> 0);
    this.#used(element);
    if (found.at === 0) this.#count++;
    else this.#gone(found.at);
    return 0;
  }

  #write(element: number, value: number, everywhere: boolean): void {
    const { arena, cpus, cpu } = this.host;
    if (!everywhere) copyValue(arena, this.desc, this.valueOf(element, cpu()), value);
    else
      for (let k = 0; k < cpus; k++) copyPadded(arena, this.desc, this.valueOf(element, k), value + k * this.#stride);
  }

  /** Copies a value, or those of all CPUs, and leaves it as unused as it was (`htab_lru_map_lookup_elem_sys`). */
  #copy(key: number, value: number): Status {
    const { arena, cpus } = this.host;
    const element = this.#find(key).at;
    if (element === 0) return -ERRNO.ENOENT;
    const size = this.#perCpu ? this.#stride : this.desc.valueSize;
    for (let k = 0; k < (this.#perCpu ? cpus : 1); k++)
      copyOut(arena, this.desc, value + k * this.#stride, this.valueOf(element, k), size);
    return 0;
  }

  delete(key: number): Status {
    const { arena } = this.host;
    const { at, link } = this.#find(key);
    if (at === 0) return -ERRNO.ENOENT;
    arena.setU32(link, arena.u32(at + ELEMENT.next));
    this.#count--;
    this.#gone(at);
    return 0;
  }

  nextKey(key: number, next: number): Status {
    const { arena } = this.host;
    const found = key === 0 ? null : this.#find(key);
    let element = found === null || found.at === 0 ? 0 : arena.u32(found.at + ELEMENT.next);
    let bucket = found === null || found.at === 0 ? 0 : (found.hash & this.#mask) + 1;
    for (; element === 0; bucket++) {
      bucket = this.#groups.next(bucket);
      if (bucket > this.#mask) return -ERRNO.ENOENT;
      element = arena.u32(this.#buckets + 4 * bucket);
    }
    arena.u8.copyWithin(next, element + ELEMENT.key, element + ELEMENT.key + this.desc.keySize);
    return 0;
  }

  free(): void {
    const { arena, rcu } = this.host;
    for (const element of this.#all()) this.released(element + this.#value);
    rcu.call(() => {
      for (const element of [...this.#all()]) {
        this.#releaseFields(element);
        arena.free(element);
      }
      arena.free(this.#buckets);
      arena.free(this.address);
    });
  }

  *#all(): Generator<number> {
    const { arena } = this.host;
    for (let bucket = this.#groups.next(0); bucket <= this.#mask; bucket = this.#groups.next(bucket + 1))
      for (let at = arena.u32(this.#buckets + 4 * bucket); at !== 0; at = arena.u32(at + ELEMENT.next)) yield at;
  }

  #releaseFields(element: number): void {
    const { cpus } = this.host;
    for (let cpu = 0; cpu < (this.#perCpu ? cpus : 1); cpu++)
      releaseFields(this.host, this.desc, this.valueOf(element, cpu));
  }

  #used(element: number): void {
    if (this.#recent === null || element === 0) return;
    this.#recent.delete(element);
    this.#recent.add(element);
  }

  /** Nothing leads to the element any more but what programs hold. */
  #gone(element: number): void {
    const { arena, rcu } = this.host;
    this.#recent?.delete(element);
    this.released(element + this.#value);
    this.#releaseFields(element);
    rcu.call(() => arena.free(element));
  }

  /** The element of a key, or 0, and the word that leads to it or would. */
  #find(key: number): { readonly at: number; readonly link: number; readonly hash: number } {
    const { arena } = this.host;
    const { keySize } = this.desc;
    const hash = hashOf(arena.view, key, keySize);
    const bytes = arena.u8;
    let link = this.#buckets + 4 * ((hash & this.#mask) >>> 0);
    const first = link;
    for (let at = arena.u32(link); at !== 0; at = arena.u32(link)) {
      if (arena.u32(at + ELEMENT.hash) === hash && same(bytes, at + ELEMENT.key, key, keySize))
        return { at, link, hash };
      link = at + ELEMENT.next;
    }
    return { at: 0, link: first, hash };
  }
}

function same(bytes: Uint8Array, a: number, b: number, size: number): boolean {
  for (let k = 0; k < size; k++) if (bytes[a + k] !== bytes[b + k]) return false;
  return true;
}

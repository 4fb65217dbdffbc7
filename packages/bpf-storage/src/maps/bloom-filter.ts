import { BpfError, ERRNO } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import { ACCESS_FLAGS, checkFlags, checkSizes, KMALLOC_MOST } from "./checks.js";
import { jhash } from "./jhash.js";
import { MAP } from "./layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status, type SystemElements } from "./map.js";

const FLAGS = MapFlag.NumaNode | MapFlag.ZeroSeed | ACCESS_FLAGS;
/** Hash functions, unless `map_extra` says how many: 1 to 15. */
const DEFAULT_HASHES = 5;
const HASHES_MOST = 15n;
const FEWEST_BITS = 64;
/** More bits than this are 2^32 bits. */
const BITS_MOST = 2 ** 31;

/** A set that may take what was never put in for what was, but not the other way round (kernel/bpf/bloom_filter.c). */
export class BloomFilter implements BpfMap {
  readonly address: number;
  readonly system: SystemElements;
  readonly #bits: number;
  readonly #mask: number;
  readonly #hashes: number;
  readonly #seed: number;

  /**
   * @param random 32 bits that nobody can guess
   * @throws {BpfError} E2BIG, EINVAL, ENOMEM
   */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
    random: () => number,
  ) {
    const { keySize, valueSize, maxEntries, flags, extra = 0n } = desc;
    if (valueSize > KMALLOC_MOST)
      throw new BpfError("E2BIG", `values of ${valueSize} bytes: expected at most ${KMALLOC_MOST}`);
    const sized = keySize === 0 && valueSize !== 0 && maxEntries !== 0;
    checkSizes(desc, "a bloom filter", sized, "no keys, and at least one value of at least 1 byte");
    checkFlags(desc, FLAGS, "a bloom filter");
    if (extra > HASHES_MOST)
      throw new BpfError("EINVAL", `map_extra ${extra} of a bloom filter: expected 0 to ${HASHES_MOST} hash functions`);
    this.#hashes = Number(extra) || DEFAULT_HASHES;
    this.#mask = bitsOf(maxEntries, this.#hashes) - 1;
    this.#bits = host.arena.alloc((this.#mask + 1) / 8);
    this.address = this.#bits === 0 ? 0 : mapHeader(host.arena, desc, id, MAP.own);
    if (this.address === 0) {
      if (this.#bits !== 0) host.arena.free(this.#bits);
      throw new BpfError("ENOMEM", `a bloom filter of ${this.#mask + 1} bits`);
    }
    this.#seed = (flags & MapFlag.ZeroSeed) === 0 ? random() | 0 : 0;
    this.system = { lookup: (_key, value) => this.peek(value) };
  }

  push(value: number, flags: bigint): Status {
    if (flags !== 0n) return -ERRNO.EINVAL;
    const bytes = this.host.arena.u8;
    for (let k = 0; k < this.#hashes; k++) {
      const bit = this.#bit(value, k);
      bytes[this.#bits + (bit >>> 3)] = (bytes[this.#bits + (bit >>> 3)] as number) | (1 << (bit & 7));
    }
    return 0;
  }

  /** 0 for a value that may have been put in; -ENOENT for one that was not. */
  peek(value: number): Status {
    const bytes = this.host.arena.u8;
    for (let k = 0; k < this.#hashes; k++) {
      const bit = this.#bit(value, k);
      if (((bytes[this.#bits + (bit >>> 3)] as number) & (1 << (bit & 7))) === 0) return -ERRNO.ENOENT;
    }
    return 0;
  }

  lookup(): number {
    return -ERRNO.EINVAL;
  }

  update(_key: number, value: number, flags: bigint): Status {
    return this.push(value, flags);
  }

  delete(): Status {
    return -ERRNO.EOPNOTSUPP;
  }

  nextKey(): Status {
    return -ERRNO.EOPNOTSUPP;
  }

  free(): void {
    const { arena, rcu } = this.host;
    rcu.call(() => {
      arena.free(this.#bits);
      arena.free(this.address);
    });
  }

  #bit(value: number, k: number): number {
    return (jhash(this.host.arena, value, this.desc.valueSize, this.#seed + k) & this.#mask) >>> 0;
  }
}

/** Bits of a filter: 7/5 for each value and hash function, which is near to the best, as a power of 2. */
function bitsOf(values: number, hashes: number): number {
  const product = values * hashes;
  const wanted = 7 * Math.floor(product / 5);
  if (product >= 2 ** 32 || wanted > BITS_MOST) return 2 ** 32;
  return wanted <= FEWEST_BITS ? FEWEST_BITS : 2 ** Math.ceil(Math.log2(wanted));
}

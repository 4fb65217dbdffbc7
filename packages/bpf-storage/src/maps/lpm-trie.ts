import { BpfError, ERRNO } from "../errors.js";
import { MapFlag, UpdateFlag } from "../uapi/map-types.js";
import { ACCESS_FLAGS, checkFlags, checkSizes, KMALLOC_MOST } from "./checks.js";
import { align8, MAP } from "./layout.js";
import { commonBits, NODE, nextInPostorder } from "./lpm-walk.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status, type SystemElements } from "./map.js";

const FLAGS = MapFlag.NoPrealloc | MapFlag.NumaNode | ACCESS_FLAGS;
/** Bytes of a key: the length of the prefix in bits, in the order of the host, and 1 to 256 bytes, the first bit the highest of the first. */
const PREFIX = 4;
const KEY = { least: PREFIX + 1, most: PREFIX + 256 };
/** Bytes of a value at most: what is left of an allocation. */
const VALUE_MOST = KMALLOC_MOST - 256 - 40;

/** A trie that finds the longest of the prefixes that a key begins with (kernel/bpf/lpm_trie.c). */
export class LpmTrie implements BpfMap {
  readonly address: number;
  readonly system: SystemElements;
  /** Bytes of a key behind its length. */
  readonly #dataSize: number;
  /** Bytes from a node to its value. */
  readonly #value: number;
  /** The word that leads to the first node. */
  readonly #root: number;
  #count = 0;

  /** @throws {BpfError} EINVAL, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
  ) {
    const { keySize, valueSize, maxEntries, flags } = desc;
    if ((flags & MapFlag.NoPrealloc) === 0)
      throw new BpfError("EINVAL", `flags 0x${flags.toString(16)} of a trie: expected NoPrealloc`);
    checkFlags(desc, FLAGS, "a trie");
    const sized = keySize >= KEY.least && keySize <= KEY.most && valueSize >= 1 && valueSize <= VALUE_MOST;
    const expected = `keys of ${KEY.least} to ${KEY.most} bytes, values of 1 to ${VALUE_MOST}, and at least one`;
    checkSizes(desc, "a trie", maxEntries !== 0 && sized, expected);
    this.#dataSize = keySize - PREFIX;
    this.#value = NODE.data + align8(this.#dataSize);
    this.address = mapHeader(host.arena, desc, id, MAP.own + 4);
    if (this.address === 0) throw new BpfError("ENOMEM", "a trie");
    this.#root = this.address + MAP.own;
    this.system = {
      lookup: (key, value) => {
        const found = this.lookup(key);
        if (found === 0) return -ERRNO.ENOENT;
        host.arena.u8.copyWithin(value, found, found + valueSize);
        return 0;
      },
    };
  }

  /** The value of the longest prefix that the key begins with. */
  lookup(key: number): number {
    const { arena } = this.host;
    const length = arena.u32(key);
    if (length > 8 * this.#dataSize) return 0;
    let found = 0;
    for (let node = arena.u32(this.#root); node !== 0; node = this.#child(node, key + PREFIX)) {
      const own = arena.u32(node + NODE.length);
      if (this.#common(node, key) < own) break;
      if (arena.u32(node + NODE.between) === 0) found = node;
      if (own === length) break;
    }
    return found === 0 ? 0 : found + this.#value;
  }

  update(key: number, value: number, flags: bigint): Status {
    const { arena } = this.host;
    if (flags > BigInt(UpdateFlag.Exist)) return -ERRNO.EINVAL;
    const length = arena.u32(key);
    if (length > 8 * this.#dataSize) return -ERRNO.EINVAL;
    const { link, node, common } = this.#find(key, length);
    const exact = node !== 0 && common === arena.u32(node + NODE.length);
    const present = exact && arena.u32(node + NODE.between) === 0;
    if (present && flags === BigInt(UpdateFlag.NoExist)) return -ERRNO.EEXIST;
    if (!present && flags === BigInt(UpdateFlag.Exist)) return -ERRNO.ENOENT;
    if (!present && this.#count === this.desc.maxEntries) return -ERRNO.ENOSPC;
    const added = this.#node(length, key + PREFIX, value);
    if (added === 0) return -ERRNO.ENOMEM;
    if (exact) {
      arena.setU32(added + NODE.child, arena.u32(node + NODE.child));
      arena.setU32(added + NODE.child + 4, arena.u32(node + NODE.child + 4));
      this.#gone(node);
    } else if (node !== 0 && common === length) {
      arena.setU32(this.#slot(added, node + NODE.data), node);
    } else if (node !== 0) {
      // Where the two part, a node that is no element.
      const between = this.#node(common, node + NODE.data, 0);
      if (between === 0) {
        arena.free(added);
        return -ERRNO.ENOMEM;
      }
      arena.setU32(this.#slot(between, key + PREFIX), added);
      arena.setU32(this.#slot(between, node + NODE.data), node);
      arena.setU32(link, between);
    }
    if (node === 0 || exact || common === length) arena.setU32(link, added);
    if (!present) this.#count++;
    return 0;
  }

  delete(key: number): Status {
    const { arena } = this.host;
    const length = arena.u32(key);
    if (length > 8 * this.#dataSize) return -ERRNO.EINVAL;
    const { link, node, common, parent, parentLink } = this.#find(key, length);
    const own = node === 0 ? -1 : arena.u32(node + NODE.length);
    if (own !== length || own !== common || arena.u32(node + NODE.between) !== 0) return -ERRNO.ENOENT;
    this.#count--;
    const [left, right] = [arena.u32(node + NODE.child), arena.u32(node + NODE.child + 4)];
    if (left !== 0 && right !== 0) {
      arena.setU32(node + NODE.between, 1);
      return 0;
    }
    if (left === 0 && right === 0 && parent !== 0 && arena.u32(parent + NODE.between) !== 0) {
      // What parted two has nothing to part: its other child takes its place.
      const first = arena.u32(parent + NODE.child);
      arena.setU32(parentLink, first === node ? arena.u32(parent + NODE.child + 4) : first);
      this.#gone(parent);
    } else arena.setU32(link, left === 0 ? right : left);
    this.#gone(node);
    return 0;
  }

  /** Longer prefixes before those that they begin with (in postorder). */
  nextKey(key: number, next: number): Status {
    const { arena } = this.host;
    const root = arena.u32(this.#root);
    if (root === 0) return -ERRNO.ENOENT;
    const node = nextInPostorder(arena, root, key, this.#dataSize);
    if (node === 0) return -ERRNO.ENOENT;
    arena.setU32(next, arena.u32(node + NODE.length));
    arena.u8.copyWithin(next + PREFIX, node + NODE.data, node + NODE.data + this.#dataSize);
    return 0;
  }

  free(): void {
    const { arena, rcu } = this.host;
    rcu.call(() => {
      for (const waiting = [arena.u32(this.#root)]; waiting.length > 0; ) {
        const node = waiting.pop() ?? 0;
        if (node === 0) continue;
        waiting.push(arena.u32(node + NODE.child), arena.u32(node + NODE.child + 4));
        arena.free(node);
      }
      arena.free(this.address);
    });
  }

  /** Where a prefix is or would be: the node, or 0, the word that leads there, and how many bits they have in common. */
  #find(key: number, length: number) {
    const { arena } = this.host;
    let [link, parent, parentLink, common] = [this.#root, 0, this.#root, 0];
    for (;;) {
      const node = arena.u32(link);
      if (node === 0) return { link, node, common, parent, parentLink };
      common = this.#common(node, key);
      const own = arena.u32(node + NODE.length);
      if (own !== common || own === length) return { link, node, common, parent, parentLink };
      parent = node;
      parentLink = link;
      link = this.#slot(node, key + PREFIX);
    }
  }

  #common(node: number, key: number): number {
    return commonBits(this.host.arena, node, key, this.#dataSize);
  }

  /** The word of a node that leads to what goes on as `data`. */
  #slot(node: number, data: number): number {
    const { arena } = this.host;
    const bit = arena.u32(node + NODE.length);
    const byte = arena.u8[data + (bit >>> 3)] as number;
    return node + NODE.child + 4 * ((byte >>> (7 - (bit & 7))) & 1);
  }

  #child(node: number, data: number): number {
    return this.host.arena.u32(this.#slot(node, data));
  }

  /** A node that leads nowhere yet, with a value or, if that is 0, between others. */
  #node(length: number, data: number, value: number): number {
    const { arena } = this.host;
    const node = arena.alloc(this.#value + (value === 0 ? 0 : this.desc.valueSize));
    if (node === 0) return 0;
    arena.setU32(node + NODE.length, length);
    arena.setU32(node + NODE.between, value === 0 ? 1 : 0);
    arena.u8.copyWithin(node + NODE.data, data, data + this.#dataSize);
    if (value !== 0) arena.u8.copyWithin(node + this.#value, value, value + this.desc.valueSize);
    return node;
  }

  #gone(node: number): void {
    const { arena, rcu } = this.host;
    rcu.call(() => arena.free(node));
  }
}

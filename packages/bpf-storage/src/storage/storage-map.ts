import { BpfError, ERRNO } from "../errors.js";
import { STORAGE } from "../maps/layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status } from "../maps/map.js";
import { MapFlag } from "../uapi/map-types.js";
import { SELEM } from "./layout.js";
import { ELEMENT_OVERHEAD, type LocalStorages } from "./local-storages.js";

/** Bytes of the largest value: what 16 bits hold of an element (`BPF_LOCAL_STORAGE_MAX_VALUE_SIZE`). */
const VALUE_MOST = 0xffff - ELEMENT_OVERHEAD;
/** In the place of a distance to the cell: ask the host. */
export const ASK = 0xffffffff;

/** A map of storage that belongs to the host's objects. From outside its keys are file descriptors of them. */
export class StorageMap implements BpfMap {
  readonly address: number;
  /** The slot of its owners' caches that it has. */
  readonly slot: number;
  readonly #buckets: number;
  readonly #mask: number;

  /** @throws {BpfError} EINVAL, E2BIG, ENOMEM */
  constructor(
    readonly storages: LocalStorages,
    readonly desc: MapDesc,
    readonly id: number,
  ) {
    const { keySize, valueSize, maxEntries, flags } = desc;
    if ((flags & ~MapFlag.Clone) !== MapFlag.NoPrealloc)
      throw new BpfError(
        "EINVAL",
        `flags 0x${flags.toString(16)} of a storage: expected NO_PREALLOC, and CLONE if wanted`,
      );
    if (maxEntries !== 0 || keySize !== 4 || valueSize === 0)
      throw new BpfError(
        "EINVAL",
        `a storage with max_entries ${maxEntries}, keys of ${keySize} and values of ${valueSize} bytes: expected 0, 4 and at least 1`,
      );
    if (valueSize > VALUE_MOST)
      throw new BpfError("E2BIG", `values of ${valueSize} bytes: expected at most ${VALUE_MOST}`);
    const { arena, cpus } = storages.host;
    const count = Math.max(2, 2 ** Math.ceil(Math.log2(cpus)));
    this.#mask = count - 1;
    this.#buckets = arena.alloc(4 * count);
    this.address = this.#buckets === 0 ? 0 : mapHeader(arena, desc, id, STORAGE.size);
    if (this.address === 0) {
      if (this.#buckets !== 0) arena.free(this.#buckets);
      throw new BpfError("ENOMEM", `a storage of ${count} buckets`);
    }
    this.slot = storages.slots.take();
    arena.setU32(this.address + STORAGE.slot, this.slot);
    arena.setU32(this.address + STORAGE.cell, storages.owners.cellOffset ?? ASK);
    arena.setU32(this.address + STORAGE.buckets, this.#buckets);
    arena.setU32(this.address + STORAGE.mask, this.#mask);
  }

  get host(): MapHost {
    return this.storages.host;
  }

  /** Where the list begins that an element is in. */
  bucketOf(selem: number): number {
    return this.#buckets + 4 * ((selem >>> 5) & this.#mask);
  }

  *buckets(): Generator<number> {
    for (let k = 0; k <= this.#mask; k++) yield this.#buckets + 4 * k;
  }

  /** The value that the object with this cell has; 0 if it has none. Nothing remembers that it was asked for. */
  valueOf(cell: number): number {
    const selem = this.storages.lookup(cell, this, false);
    return selem === 0 ? 0 : selem + SELEM.value;
  }

  /** The value that the object behind a file descriptor has; 0 if it has none, or a negative errno. */
  lookup(key: number): number {
    const cell = this.#cell(key);
    if (cell < 0) return cell;
    const selem = this.storages.lookup(cell, this, true);
    return selem === 0 ? 0 : selem + SELEM.value;
  }

  update(key: number, value: number, flags: bigint): Status {
    const cell = this.#cell(key);
    return cell < 0 ? cell : Math.min(0, this.storages.update(cell, this, value, flags));
  }

  delete(key: number): Status {
    const cell = this.#cell(key);
    return cell < 0 ? cell : this.storages.delete(cell, this);
  }

  nextKey(): Status {
    return -ERRNO.ENOTSUPP;
  }

  free(): void {
    const { arena, rcu } = this.storages.host;
    // Nobody finds it any more; those who have, have ended when its elements go.
    rcu.call(() => {
      this.storages.drain(this);
      arena.free(this.#buckets);
      arena.free(this.address);
    });
  }

  #cell(key: number): number {
    return this.storages.owners.fromFd(this.storages.host.arena.u32(key) | 0);
  }
}

import { KERNEL_HIGH } from "../engine/layout.js";
import { ERRNO } from "../errors.js";
import { checkPresence, checkUpdateFlags, wantsLock } from "../maps/flags.js";
import { align8 } from "../maps/layout.js";
import { copyValue, type MapHost, type Status } from "../maps/map.js";
import { MapFlag } from "../uapi/map-types.js";
import { CacheSlots } from "./cache-slots.js";
import { SELEM, STORE } from "./layout.js";
import type { Owners } from "./owners.js";
import type { StorageMap } from "./storage-map.js";
import { tableFind, tableFree, tableInsert, tableRemove } from "./table.js";

/** Functions of the kernel that programs attach to, and that run here. */
export type StorageFunction = "bpf_local_storage_lookup" | "bpf_local_storage_update";

/** Bytes that Linux takes for an element beside its value, and for what an owner holds; what is charged, and subtracted from the largest value. */
export const ELEMENT_OVERHEAD = 128;
const STORE_OVERHEAD = 192;

/**
 * Local storage of one kind of owners (kernel/bpf/bpf_local_storage.c, 6.12). The map's pointer is the key, the owner has the data: a list of elements,
 * and a cache of 16 slots in front of it, of which each map has one.
 */
export class LocalStorages {
  readonly slots = new CacheSlots();

  /** @param entered called as programs attached to a function's entry would be, with its arguments */
  constructor(
    readonly host: MapHost,
    readonly owners: Owners,
    readonly entered: (name: StorageFunction, ...args: number[]) => void = () => undefined,
  ) {}

  /** The element of a map; 0 if there is none. @param cache whether the next search should find it at once */
  lookup(cell: number, map: StorageMap, cache: boolean): number {
    const { arena } = this.host;
    if (arena.u32(cell) === 0) return 0;
    this.entered("bpf_local_storage_lookup", arena.u32(cell), map.address, cache ? 1 : 0);
    const store = arena.u32(cell);
    if (store === 0) return 0;
    const slot = store + STORE.cache + 4 * map.slot;
    const cached = arena.u32(slot);
    if (cached !== 0 && arena.u32(cached + SELEM.map) === map.address) return cached;
    const selem = this.#search(store, map.address);
    if (selem !== 0 && cache) arena.setU32(slot, selem);
    return selem;
  }

  #search(store: number, map: number): number {
    const { arena } = this.host;
    if (arena.u32(store + STORE.table) !== 0) return tableFind(arena, store, map);
    let at = arena.u32(store + STORE.list);
    while (at !== 0 && arena.u32(at + SELEM.map) !== map) at = arena.u32(at + SELEM.ownNext);
    return at;
  }

  /**
   * Creates or replaces the element of a map. What programs hold of the one before stays until they end.
   * @param value offset of what is copied, 0 for zeros
   * @returns the element, or a negative errno
   */
  update(cell: number, map: StorageMap, value: number, flags: bigint): number {
    const { arena } = this.host;
    this.entered("bpf_local_storage_update", cell, map.address, value, Number(flags));
    const wrong = checkUpdateFlags(map.desc, flags);
    if (wrong !== 0) return wrong;
    if (arena.u32(cell) === 0) return this.#first(cell, map, value, flags);
    if (wantsLock(flags)) {
      const there = this.lookup(cell, map, false);
      const refused = checkPresence(there !== 0, flags);
      if (refused !== 0) return refused;
      if (there !== 0) return this.#copyIn(map, there, value);
    }
    const selem = this.#make(cell, map, value);
    if (selem < 0) return selem;
    // Programs that ran meanwhile may have deleted the last element, or created this one.
    const old = this.lookup(cell, map, false);
    const store = arena.u32(cell);
    const refused = store === 0 ? -ERRNO.EAGAIN : checkPresence(old !== 0, flags);
    if (refused !== 0) {
      this.#discard(cell, map, selem);
      return refused;
    }
    this.#link(store, map, selem, old);
    return selem;
  }

  #first(cell: number, map: StorageMap, value: number, flags: bigint): number {
    const { arena } = this.host;
    const refused = checkPresence(false, flags);
    if (refused !== 0) return refused;
    const selem = this.#make(cell, map, value);
    if (selem < 0) return selem;
    const charged = this.#charge(cell, STORE_OVERHEAD);
    const store = charged ? arena.alloc(STORE.size) : 0;
    if (store === 0 || arena.u32(cell) !== 0) {
      if (charged) this.owners.uncharge?.(cell, STORE_OVERHEAD);
      if (store !== 0) arena.free(store);
      this.#discard(cell, map, selem);
      return store === 0 ? -ERRNO.ENOMEM : -ERRNO.EAGAIN;
    }
    arena.setU32(store + STORE.cell, cell);
    this.#point(store + STORE.map, map.address);
    if (this.owners.wide === true) this.#point(cell, store);
    else arena.setU32(cell, store);
    this.#link(store, map, selem, 0);
    return selem;
  }

  #make(cell: number, map: StorageMap, value: number): number {
    const { arena } = this.host;
    const { valueSize } = map.desc;
    if (!this.#charge(cell, ELEMENT_OVERHEAD + valueSize)) return -ERRNO.ENOMEM;
    const selem = arena.alloc(SELEM.value + align8(valueSize));
    if (selem === 0) {
      this.owners.uncharge?.(cell, ELEMENT_OVERHEAD + valueSize);
      return -ERRNO.ENOMEM;
    }
    if (value !== 0) copyValue(arena, map.desc, selem + SELEM.value, value);
    return selem;
  }

  #discard(cell: number, map: StorageMap, selem: number): void {
    this.host.arena.free(selem);
    this.owners.uncharge?.(cell, ELEMENT_OVERHEAD + map.desc.valueSize);
  }

  #charge(cell: number, bytes: number): boolean {
    return this.owners.charge?.(cell, bytes) ?? true;
  }

  #copyIn(map: StorageMap, selem: number, value: number): number {
    copyValue(this.host.arena, map.desc, selem + SELEM.value, value);
    return selem;
  }

  /** @param old the element that it takes the place of; 0 if there is none */
  #link(store: number, map: StorageMap, selem: number, old: number): void {
    const { arena } = this.host;
    arena.setU32(selem + SELEM.store, store);
    arena.setU32(selem + SELEM.map, map.address);
    this.#push(map.bucketOf(selem), selem, SELEM.mapNext, SELEM.mapLink);
    this.#push(store + STORE.list, selem, SELEM.ownNext, SELEM.ownLink);
    arena.setU32(store + STORE.count, arena.u32(store + STORE.count) + 1);
    if (old !== 0) this.#unlink(old, map);
    tableInsert(arena, store, selem);
  }

  /** Deletes the element of a map. @returns -ENOENT if there is none */
  delete(cell: number, map: StorageMap): Status {
    const selem = this.lookup(cell, map, false);
    if (selem === 0) return -ERRNO.ENOENT;
    this.#unlink(selem, map);
    return 0;
  }

  #unlink(selem: number, map: StorageMap): void {
    const { arena, rcu } = this.host;
    this.#pull(selem, SELEM.mapNext, SELEM.mapLink);
    const store = arena.u32(selem + SELEM.store);
    const cell = arena.u32(store + STORE.cell);
    tableRemove(arena, store, map.address);
    this.#pull(selem, SELEM.ownNext, SELEM.ownLink);
    const count = arena.u32(store + STORE.count) - 1;
    arena.setU32(store + STORE.count, count);
    const slot = store + STORE.cache + 4 * map.slot;
    if (arena.u32(slot) === selem) arena.setU32(slot, 0);
    if (arena.u32(store + STORE.map) === map.address) this.#point(store + STORE.map, 0);
    this.owners.uncharge?.(cell, ELEMENT_OVERHEAD + map.desc.valueSize);
    if (count === 0) {
      if (this.owners.wide === true) this.#point(cell, 0);
      else arena.setU32(cell, 0);
      this.owners.uncharge?.(cell, STORE_OVERHEAD);
      rcu.call(() => {
        tableFree(arena, store);
        arena.free(store);
      });
    }
    rcu.call(() => arena.free(selem));
  }

  /** The owner is freed: so is all that it has. @param mapAt the map by its pointer */
  release(cell: number, mapAt: (address: number) => StorageMap): void {
    const { arena } = this.host;
    for (let store = arena.u32(cell); store !== 0; store = arena.u32(cell)) {
      const selem = arena.u32(store + STORE.list);
      this.#unlink(selem, mapAt(arena.u32(selem + SELEM.map)));
    }
  }

  /** A map is freed: so are its elements, whoever owns them. */
  drain(map: StorageMap): void {
    const { arena } = this.host;
    for (const bucket of map.buckets())
      for (let selem = arena.u32(bucket); selem !== 0; selem = arena.u32(bucket)) this.#unlink(selem, map);
    this.slots.release(map.slot);
  }

  /**
   * A new owner comes of another, as of a socket that listens: it gets copies of what maps with BPF_F_CLONE have for that (`bpf_sk_storage_clone`).
   * @param to has no storage yet
   * @returns 0 or -ENOMEM; what has been copied by then stays
   */
  clone(from: number, to: number, mapAt: (address: number) => StorageMap): Status {
    const { arena } = this.host;
    const parent = arena.u32(from);
    let selem = parent === 0 ? 0 : arena.u32(parent + STORE.list);
    for (; selem !== 0; selem = arena.u32(selem + SELEM.ownNext)) {
      const map = mapAt(arena.u32(selem + SELEM.map));
      if ((map.desc.flags & MapFlag.Clone) === 0) continue;
      const copy = this.#add(to, map, selem + SELEM.value);
      if (copy < 0) return copy;
    }
    return 0;
  }

  #add(cell: number, map: StorageMap, value: number): number {
    const store = this.host.arena.u32(cell);
    if (store === 0) return this.#first(cell, map, value, 0n);
    const selem = this.#make(cell, map, value);
    if (selem >= 0) this.#link(store, map, selem, 0);
    return selem;
  }

  /** Elements of an owner. */
  count(cell: number): number {
    const store = this.host.arena.u32(cell);
    return store === 0 ? 0 : this.host.arena.u32(store + STORE.count);
  }

  /** Writes a pointer of 64 bits. */
  #point(at: number, to: number): void {
    const { arena } = this.host;
    arena.setU32(at, to);
    arena.setU32(at + 4, to === 0 ? 0 : KERNEL_HIGH);
  }

  /** Puts an element in front of a list; each has its link, the word that leads to it. */
  #push(head: number, selem: number, next: number, link: number): void {
    const { arena } = this.host;
    const first = arena.u32(head);
    arena.setU32(selem + next, first);
    arena.setU32(selem + link, head);
    if (first !== 0) arena.setU32(first + link, selem + next);
    arena.setU32(head, selem);
  }

  #pull(selem: number, next: number, link: number): void {
    const { arena } = this.host;
    const [behind, before] = [arena.u32(selem + next), arena.u32(selem + link)];
    arena.setU32(before, behind);
    if (behind !== 0) arena.setU32(behind + link, before);
  }
}

import { LockClass, type Lockdep, RwSemaphore, type Task } from "@vm/lockdep";
import type { FrameArena } from "../arena.js";
import type { Filter, Gfns, Mapped } from "../kvm/invalidate.js";
import { AttributeMap, MemoryAttribute } from "./attribute-map.js";
import { type Folio, FolioPool } from "./folio.js";
import type { Vma } from "./vma.js";

/** Flags of KVM_CREATE_GUEST_MEMFD; uapi linux/kvm.h. */
export enum GmemFlag {
  /** User space can map what is shared of it. */
  Mmap = 1 << 0,
  /** Its memory is shared at first, not private. */
  InitShared = 1 << 1,
}

/** One VM's view of an inode. */
export interface InodeFile {
  readonly vm: Mapped;
  /** The kinds of mappings its pages can have. */
  readonly mappable: Filter;
  /** The guest frames that show pages `[start, end)`. */
  gfns(start: number, end: number): Gfns[];
}

/** Class of every inode's lock, as in the kernel one per file system type. */
const INVALIDATE_LOCK = new LockClass("mapping.invalidate_lock");

/**
 * The storage of a guest_memfd: its pages, whoever's VM they belong to. An inode's pages appear while invalidate_lock is held shared, and disappear or
 * change their attributes while it is held exclusively. Linux: struct gmem_inode with its mapping.
 */
export class GmemInode {
  readonly invalidateLock: RwSemaphore;
  /** One per VM that uses it. */
  readonly files = new Set<InodeFile>();
  /** User mappings of its files. */
  readonly vmas = new Set<Vma>();
  /** In force where attributes are those of a guest_memfd; under invalidate_lock. */
  readonly attributes: AttributeMap;
  readonly #pool: FolioPool;
  /** By page: a guest that takes all of its memory into use fills it, and asks for pages at every fault. */
  readonly #folios: (Folio | undefined)[];
  #allocated = 0;

  /** @throws KvmError ENOMEM if the arena does not have `pages` frames */
  constructor(
    lockdep: Lockdep,
    arena: FrameArena,
    readonly pages: number,
    readonly flags: number,
  ) {
    this.#pool = new FolioPool(arena, pages);
    this.#folios = new Array(pages);
    this.invalidateLock = new RwSemaphore(lockdep, INVALIDATE_LOCK);
    this.attributes = new AttributeMap(pages, this.initShared ? MemoryAttribute.None : MemoryAttribute.Private);
  }

  get initShared(): boolean {
    return (this.flags & GmemFlag.InitShared) !== 0;
  }

  get canMmap(): boolean {
    return (this.flags & GmemFlag.Mmap) !== 0;
  }

  /** Pages that are there. */
  get allocated(): number {
    return this.#allocated;
  }

  /** Page `index`, if it is there. */
  peek(index: number): Folio | undefined {
    return this.#folios[index];
  }

  /** Page `index`, made now if it is not there; null if there is no memory. Its content is undefined if it is not uptodate. */
  folio(index: number): Folio | null {
    const known = this.#folios[index];
    if (known !== undefined) return known;
    const fresh = this.#pool.take();
    if (fresh === null) return null;
    this.#folios[index] = fresh;
    this.#allocated++;
    return fresh;
  }

  /** Whether something else than this cache refers to a page of `[start, end)`: the first such page, or undefined. */
  firstReferenced(start: number, end: number): number | undefined {
    for (let index = start; index < end; index++) if ((this.#folios[index]?.refs ?? 1) > 1) return index;
    return undefined;
  }

  /** Takes user mappings of `[start, end)` away; the next access faults. */
  unmapUser(task: Task, start: number, end: number): void {
    for (const vma of this.vmas) vma.zap(task, start, end);
  }

  /** Removes pages `[start, end)` and their user mappings. */
  truncate(task: Task, start: number, end: number): void {
    this.invalidateLock.assertHeldExclusive(task);
    this.unmapUser(task, start, end);
    for (let index = start; index < end; index++) this.#drop(index);
  }

  /** The last file is gone, and with it everything. */
  evict(): void {
    for (let index = 0; this.#allocated > 0; index++) this.#drop(index);
    this.#pool.close();
  }

  #drop(index: number): void {
    const folio = this.#folios[index];
    if (folio === undefined) return;
    folio.put();
    this.#folios[index] = undefined;
    this.#allocated--;
  }
}

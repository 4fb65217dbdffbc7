import { Lockdep } from "@vm/lockdep";
import { Access, Licence, type PagingControls, Status, type Translation } from "./access.js";
import { FrameArena } from "./arena.js";
import { Cr0, Page } from "./bits.js";
import { forEachRun } from "./dirty-log.js";
import { VmLocks } from "./kvm/locks.js";
import { Listeners } from "./listeners.js";
import { type MemslotDesc, MemslotError, Memslots } from "./memslots.js";
import { PhysicalMemory } from "./physical.js";
import { type MemoryImage, restorePages, TouchedPages } from "./snapshot.js";
import { TdpLevel } from "./tdp/level.js";
import { TdpMmu } from "./tdp/tdp-mmu.js";
import { Views } from "./views.js";
import { PageWalker } from "./walk.js";

export interface MmuOptions {
  /** Allocated once at its final size; it must never grow. */
  readonly memory: WebAssembly.Memory;
  /** First byte for guest frames; a multiple of 4096, not 0. */
  readonly arenaStart: number;
  /** One past the last byte for guest frames; a multiple of 4096. */
  readonly arenaEnd: number;
  /** Physical address bits of the guest (CPUID.80000008H:EAX[7:0]), 32..52. Default 40. */
  readonly maxPhyAddr?: number;
  /** Validator of the locks. Default: none of them is validated. */
  readonly lockdep?: Lockdep;
}

/**
 * Guest memory and its translation: what the CPU asks on a TLB miss, what devices read and write, what the host configures.
 *
 * Nothing is cached here; whoever caches a {@link Translation} (a TLB) or what it derived from a page (decoded code) subscribes to
 * {@link onInvalidate} and {@link PhysicalMemory.onHostWrite | onHostWrite}.
 */
export class Mmu extends PhysicalMemory {
  /** The result of the last {@link translate}; one object for the life of the Mmu. */
  readonly translation: Translation = { host: 0, gfn: 0, licence: 0, global: false, large: false, errorCode: 0 };
  readonly #slots: Memslots;
  readonly #views = new Views();
  readonly #invalidated: Listeners<[gfn: number, pages: number]>;
  readonly #tdp: TdpMmu;
  readonly #second: TdpLevel;
  readonly #walker: PageWalker;

  /** @throws RangeError for `maxPhyAddr`, ArenaError for the arena's range */
  constructor({
    memory,
    arenaStart,
    arenaEnd,
    maxPhyAddr = 40,
    lockdep = new Lockdep({ enabled: false }),
  }: MmuOptions) {
    if (!Number.isInteger(maxPhyAddr) || maxPhyAddr < 32 || maxPhyAddr > 52) {
      throw new RangeError(`maxPhyAddr ${maxPhyAddr} is not an integer in 32..52`);
    }
    const invalidated = new Listeners<[gfn: number, pages: number]>();
    const arena = new FrameArena(memory, arenaStart, arenaEnd);
    const slots = new Memslots(arena, 2 ** maxPhyAddr / Page.Size, (gfn, pages) => this.#tdp.changed(gfn, pages));
    super(slots);
    this.#invalidated = invalidated;
    this.#slots = slots;
    const locks = new VmLocks(lockdep);
    const flush = (gfn: number, pages: number): void => invalidated.emit(gfn, pages);
    this.#tdp = new TdpMmu({ slots, views: this.#views, locks, maxPhyAddr, flush });
    this.#second = new TdpLevel(this.#tdp, slots, this.#views, 0);
    this.#walker = new PageWalker(arena.u32, this.#second, maxPhyAddr);
  }

  /**
   * Translates one linear address for one access; the result is in {@link translation}.
   *
   * A successful write access sets D and marks the dirty log, so the caller may then write.
   * @param lo low half of the linear address
   * @param hi high half; canonical (checked by the CPU), ignored outside long mode
   * @param access {@link Access} bits
   * @returns a {@link Status}
   */
  translate(controls: PagingControls, lo: number, hi: number, access: number): number {
    const t = this.translation;
    if ((access & Access.Implicit) !== 0) access &= ~Access.User;
    const second = this.#second;
    second.use(controls.view ?? 0);
    let gfn = lo >>> 12;
    let licence: number = Licence.All;
    let global = false;
    let large = false;
    if ((controls.cr0 & Cr0.Pg) !== 0) {
      const walker = this.#walker;
      const allowed = walker.walk(controls, lo, hi, access);
      if (second.refused) {
        t.gfn = second.gfn;
        t.errorCode = Licence.Read | second.flags;
        return Status.Exit;
      }
      if (!allowed) {
        t.errorCode = walker.errorCode;
        return Status.Fault;
      }
      gfn = walker.gfn;
      licence = walker.licence;
      global = walker.global;
      large = walker.large;
    }
    t.gfn = gfn;
    const want =
      (access & Access.Write) !== 0 ? Licence.Write : (access & Access.Fetch) !== 0 ? Licence.Fetch : Licence.Read;
    const status = second.resolve(gfn, want);
    if (status === Status.Ok) {
      t.host = second.pfn * Page.Size;
      t.gfn = second.gfn;
      t.licence = licence & second.licence;
      t.global = global;
      t.large = large;
    } else if (status === Status.Exit) {
      t.errorCode = want | second.flags;
    }
    return status;
  }

  /** Frames in use: pages of guest memory that were ever touched. */
  get touchedFrames(): number {
    return this.#slots.arena.taken;
  }

  /** Frames that new memslots can still have. */
  get availableFrames(): number {
    return this.#slots.arena.available;
  }

  /** Creates, deletes (size 0), moves or re-flags a memslot; see {@link Memslots}. @throws MemslotError before anything has changed */
  setMemslot(desc: MemslotDesc): void {
    this.#slots.set(desc);
  }

  /** All memslots, ascending by address. */
  get memslots(): readonly Required<MemslotDesc>[] {
    return this.#slots.all.map((slot) => slot.describe());
  }

  /**
   * The pages of a slot written since the last call, and starts over (KVM_GET_DIRTY_LOG). Bit i of word i >>> 5 is page i of the slot.
   * @throws MemslotError ENOENT without the slot, EINVAL if it does not log
   */
  getDirtyLog(slot: number): Uint32Array {
    const memslot = this.#slots.byId(slot);
    if (memslot.dirty === null) throw new MemslotError("EINVAL", `memslot ${slot} was not set with dirtyLog`);
    const bitmap = memslot.dirty.drain();
    forEachRun(bitmap, (first, pages) => this.#tdp.writeProtect(memslot.gfn + first, pages));
    return bitmap;
  }

  /**
   * Takes {@link Licence} bits of a page away from who translates with `view`: such an access becomes Status.Exit if memory backs the page. Adds to
   * bits withheld before.
   */
  withhold(gfn: number, licence: number, view = 0): void {
    this.#watch(view, gfn, this.withheld(gfn, view) | (licence & Licence.All));
  }

  /** Gives {@link Licence} bits of a page back, however often they were withheld. */
  release(gfn: number, licence: number, view = 0): void {
    this.#watch(view, gfn, this.withheld(gfn, view) & ~licence);
  }

  /** The {@link Licence} bits withheld from a page. */
  withheld(gfn: number, view = 0): number {
    return this.#views.at(view).watches.of(gfn);
  }

  #watch(view: number, gfn: number, bits: number): void {
    const changed = this.#views.open(view);
    if (changed.watches.set(gfn, bits)) this.#tdp.changedIn(changed, gfn);
  }

  /** In `view`, what is at `gfn` becomes what is at `target`, for the guest and for its page walks; `target` = `gfn` restores it. */
  remap(gfn: number, target: number, view = 0): void {
    const changed = this.#views.open(view);
    if (changed.remap(gfn, target)) this.#tdp.changedIn(changed, gfn);
  }

  /** Forgets everything about a view other than 0: who still uses it sees what view 0 would be without changes. */
  discardView(view: number): void {
    this.#tdp.discard(this.#views.discard(view));
  }

  /**
   * Calls `callback` whenever pages `[gfn, gfn + pages)` mean something else: memslots, watches, dirty log re-armed. Everything derived from them,
   * TLB entries and decoded code, is stale. Returns the function that ends it.
   */
  onInvalidate(callback: (gfn: number, pages: number) => void): () => void {
    return this.#invalidated.add(callback);
  }

  /** Memslots and touched pages. The pages are read when iterated and are views: consume or copy them before the machine runs on. */
  save(): MemoryImage {
    return { memslots: this.memslots, pages: new TouchedPages(this.#slots) };
  }

  /**
   * Replaces memslots and contents by a saved image (of another Mmu, or one whose pages were copied). Watches stay; dirty logs start empty.
   * @throws MemslotError if the image is inconsistent or does not fit; the previous contents are gone then
   */
  restore(image: MemoryImage): void {
    restorePages(this.#slots, image);
  }
}

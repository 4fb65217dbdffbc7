import type { Task } from "@vm/lockdep";
import { Access, Licence, type PagingControls, Status, type Translation } from "./access.js";
import { Cr0, Page } from "./bits.js";
import { forEachRun } from "./dirty-log.js";
import { FrozenMemory } from "./frozen.js";
import { GuestVm, type GuestVmOptions } from "./guest-vm.js";
import { HostPages } from "./host-pages.js";
import { KvmError } from "./kvm/errors.js";
import { type MemslotDesc, MemslotError } from "./memslots.js";
import { PhysicalMemory } from "./physical.js";
import { QuietWalk } from "./quiet-walk.js";
import { type ChunkSource, Residency } from "./residency.js";
import { type MemoryImage, restorePages, TouchedPages } from "./snapshot.js";
import { walks } from "./tdp/external.js";
import { ExternalLevel } from "./tdp/external-level.js";
import { TdpLevel } from "./tdp/level.js";
import { RetPf } from "./tdp/ret-pf.js";
import type { Gfn, Gpa } from "./units.js";
import { PageWalker } from "./walk.js";

/**
 * Guest memory and its translation: what the CPU asks on a TLB miss, what devices read and write, what the host configures.
 *
 * Nothing is cached here; whoever caches a {@link Translation} (a TLB) or what it derived from a page (decoded code) subscribes to
 * {@link onInvalidate} and {@link PhysicalMemory.onHostWrite | onHostWrite}.
 */
export class Mmu extends PhysicalMemory {
  /** The result of the last {@link translate}; one object for the life of the Mmu. */
  readonly translation: Translation = { host: 0, gfn: 0, licence: 0, global: false, large: false, errorCode: 0 };
  /** What guest_memfds and calls on memory attributes want. */
  readonly vm: GuestVm;
  readonly #second: TdpLevel;
  readonly #walker: PageWalker;
  readonly #quiet: QuietWalk;

  /** @throws RangeError for `maxPhyAddr`, ArenaError for the arena's range */
  constructor(options: GuestVmOptions) {
    const vm = new GuestVm(options);
    super(vm.slots, new HostPages(vm.source, vm.host));
    this.vm = vm;
    this.#second = walks(vm.external) ? new ExternalLevel(vm, vm.external) : new TdpLevel(vm);
    this.#walker = new PageWalker(vm.slots.arena.u32, this.#second, vm.maxPhyAddr);
    this.#quiet = new QuietWalk(vm.slots.arena.u32, this.#second, vm.maxPhyAddr);
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
      if (!walker.walk(controls, lo, hi, access)) {
        if (second.refused !== Status.Ok) return this.#refused(controls, access);
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
    } else if (status === Status.Fault) {
      t.errorCode = this.#walker.reserved(controls, access);
    }
    return status;
  }

  /**
   * Where a linear address leads, for one who looks at the guest without taking part: no rights are asked, nothing is marked in page tables, no
   * watch is told. Read and write there by {@link read} and {@link write}.
   * @param hi canonical, as for {@link translate}
   * @returns the guest-physical address, in the view that `controls` names; null if the page tables name none
   */
  locate(controls: PagingControls, lo: number, hi: number): Gpa | null {
    const gpa = this.gvaToGpa(controls, lo, hi);
    return gpa === null ? null : this.#second.frame(Math.floor(gpa / Page.Size)) * Page.Size + (gpa % Page.Size);
  }

  /** As {@link locate}, but what the guest takes for the address: before the view has put another frame in its place. */
  gvaToGpa(controls: PagingControls, lo: number, hi: number): Gpa | null {
    this.#second.use(controls.view ?? 0);
    const gfn = this.#quiet.gfn(controls, lo, hi);
    return gfn < 0 ? null : gfn * Page.Size + (lo & (Page.Size - 1));
  }

  /**
   * Maps what an access needs, after a Status.Exit that asks for it.
   * @param access the one {@link Licence} bit of the access
   * @returns Ok, Mmio or Exit; an Exit's {@link ExitFlag} bits are in `translation.errorCode`: with Retry it is to wait for {@link faultIn}
   */
  tryFaultIn(gfn: Gfn, access: number, view = 0): Status {
    const want = access & Licence.All;
    const status = this.#second.tryFaultIn(view, gfn, want);
    if (status === Status.Exit) this.translation.errorCode = want | this.#second.flags;
    return status;
  }

  /**
   * Waits for what was in the way of an access: after a Status.Exit with {@link ExitFlag.Retry}. Something can be in the way again when the guest comes back.
   * @param access the one {@link Licence} bit of the access
   * @returns Ok, Mmio or Exit: what the access has met
   */
  faultIn(task: Task, gfn: Gfn, access: number, view = 0): Promise<Status> {
    return this.#second.faultIn(task, view, gfn, access & Licence.All);
  }

  /**
   * Maps `[gpa, gpa + size)` before the guest asks, as reads in view 0 would, unseen by who watches (KVM_PRE_FAULT_MEMORY).
   * @param gpa in bytes, without the shared bit; a multiple of 4096 as is `size`, which is more than 0
   * @returns bytes done: fewer than asked for if a later page cannot be had or `signalPending`
   * @throws KvmError if not even the first page was done: EINVAL, EINTR, ENOENT where no memory is, EFAULT where none can be had
   */
  async preFault(task: Task, gpa: Gpa, size: number, signalPending?: () => boolean): Promise<number> {
    const first = gpa / Page.Size;
    const end = (gpa + size) / Page.Size;
    if (!Number.isInteger(first) || !Number.isInteger(end) || first < 0 || end <= first || end > this.vm.slots.maxGfn)
      throw new KvmError("EINVAL", `${size} bytes at ${gpa}: not guest frames`);
    for (let gfn = first; gfn < end; gfn++) {
      const failed = await this.#preFaultPage(task, gfn, signalPending);
      if (failed === null) continue;
      if (gfn === first) throw new KvmError(failed, `guest frame 0x${gfn.toString(16)} cannot be mapped`);
      return (gfn - first) * Page.Size;
    }
    return size;
  }

  async #preFaultPage(
    task: Task,
    gfn: Gfn,
    signalPending?: () => boolean,
  ): Promise<"EINTR" | "ENOENT" | "EFAULT" | null> {
    const view = this.vm.views.at(0);
    const access = { view, gfn, want: Licence.Read, isPrivate: undefined, quiet: true };
    for (;;) {
      if (signalPending?.()) return "EINTR";
      const result = await this.vm.target.fault(task, access);
      if (result === RetPf.Emulate) return "ENOENT";
      if (result === RetPf.Fixed || result === RetPf.Spurious) return null;
      if (result !== RetPf.Retry) return "EFAULT";
    }
  }

  #refused(controls: PagingControls, access: number): Status {
    const second = this.#second;
    const status = second.refused;
    second.refused = Status.Ok;
    if (status === Status.Fault) {
      this.translation.errorCode = this.#walker.reserved(controls, access);
      return status;
    }
    this.translation.gfn = second.gfn;
    this.translation.errorCode = Licence.Read | second.flags;
    return Status.Exit;
  }

  /** Frames in use: pages of guest memory that were ever touched. */
  get touchedFrames(): number {
    return this.vm.slots.arena.taken;
  }

  /** Frames that new memslots can still have. */
  get availableFrames(): number {
    return this.vm.slots.arena.available;
  }

  /** Creates, deletes (size 0), moves or re-flags a memslot; see {@link Memslots}. @throws MemslotError before anything has changed */
  setMemslot(desc: MemslotDesc): void {
    const { slotsLock } = this.vm.locks;
    if (!slotsLock.tryLock(this.vm.host)) throw new MemslotError("EBUSY", "somebody else is changing the memslots");
    try {
      this.vm.slots.set(desc);
    } finally {
      slotsLock.unlock(this.vm.host);
    }
  }

  /** All memslots, ascending by address. */
  get memslots(): readonly Required<MemslotDesc>[] {
    return this.vm.slots.all.map((slot) => slot.describe());
  }

  /**
   * The pages of a slot written since the last call, and starts over (KVM_GET_DIRTY_LOG). Bit i of word i >>> 5 is page i of the slot.
   * @throws MemslotError ENOENT without the slot, EINVAL if it does not log
   */
  getDirtyLog(slot: number): Uint32Array {
    const memslot = this.vm.slots.byId(slot);
    if (memslot.dirty === null) throw new MemslotError("EINVAL", `memslot ${slot} was not set with dirtyLog`);
    const bitmap = memslot.dirty.drain();
    forEachRun(bitmap, (first, pages) => this.vm.target.writeProtect(memslot.gfn + first, pages));
    return bitmap;
  }

  /**
   * Takes {@link Licence} bits of a page away from who translates with `view`: such an access becomes Status.Exit if memory backs the page. Adds to
   * bits withheld before.
   */
  withhold(gfn: Gfn, licence: number, view = 0): void {
    this.#watch(view, gfn, this.withheld(gfn, view) | (licence & Licence.All));
  }

  /** Gives {@link Licence} bits of a page back, however often they were withheld. */
  release(gfn: Gfn, licence: number, view = 0): void {
    this.#watch(view, gfn, this.withheld(gfn, view) & ~licence);
  }

  /** As {@link release} for each page of `bits` and the {@link Licence} bits that stand there, with a single invalidation. */
  releaseAll(bits: ReadonlyMap<number, number>, view = 0): void {
    if (bits.size === 0) return;
    const changed = this.vm.views.open(view);
    changed.watches.releaseAll(bits);
    this.vm.target.changedAllIn(changed);
  }

  /** The {@link Licence} bits withheld from a page. */
  withheld(gfn: Gfn, view = 0): number {
    return this.vm.views.at(view).watches.of(gfn);
  }

  #watch(view: number, gfn: Gfn, bits: number): void {
    const changed = this.vm.views.open(view);
    if (changed.watches.set(gfn, bits)) this.vm.target.changedIn(changed, gfn);
  }

  /** In `view`, what is at `gfn` becomes what is at `target`, for the guest and for its page walks; `target` = `gfn` restores it. */
  remap(gfn: Gfn, target: number, view = 0): void {
    const changed = this.vm.views.open(view);
    if (changed.remap(gfn, target)) this.vm.target.changedIn(changed, gfn);
  }

  /** Forgets everything about a view other than 0: who still uses it sees what view 0 would be without changes. */
  discardView(view: number): void {
    this.vm.target.discard(this.vm.views.discard(view));
  }

  /**
   * Calls `callback` whenever translations of pages `[gfn, gfn + pages)` are stale: memslots, watches, dirty log re-armed. If they are `replaced`, so is what was
   * derived from their bytes, such as decoded code. Returns the function that ends it.
   */
  onInvalidate(callback: (gfn: Gfn, pages: number, replaced: boolean) => void): () => void {
    return this.vm.invalidated.add(callback);
  }

  /**
   * From now on these chunks of memory are not here: they come from `source` when somebody needs them. What was in them is forgotten.
   * @param chunks of 64 KiB by number, each once
   * @throws RangeError for what are none, KvmError EBUSY while others are on their way or where memory is not the machine's own; nothing has changed then
   */
  expect(source: ChunkSource, chunks: ArrayLike<number>): void {
    const { slots } = this.vm;
    if ((slots.residency?.left ?? 0) > 0) throw new KvmError("EBUSY", "memory is on its way already");
    if (slots.all.some(({ own }) => !own)) throw new KvmError("EBUSY", "guest_memfds have no memory that comes later");
    const residency = new Residency(source, chunks, (gfn, bytes) => {
      // What was under way when other memory was put in its place is nobody's.
      const slot = slots.residency === residency ? slots.find(gfn) : null;
      if (slot !== null) slots.arena.u8.set(bytes, slots.touch(slot, gfn) * Page.Size);
    });
    slots.residency = residency;
    for (const { gfn, pages } of slots.all) this.vm.target.changed(gfn, pages);
  }

  /**
   * All of memory as it is now, for who reads it while the guest goes on: see {@link FrozenMemory}. Close it when nobody needs it. Memslots are neither moved nor deleted meanwhile.
   * @throws KvmError EBUSY where memory is not the machine's own
   */
  freeze(): FrozenMemory {
    const { slots, target } = this.vm;
    const frozen = new FrozenMemory(slots);
    for (const { gfn, pages } of slots.all) target.writeProtect(gfn, pages);
    return frozen;
  }

  /** What of memory is here; null: all that there is. */
  get residency(): Residency | null {
    return this.vm.slots.residency;
  }

  /** Waits until `[gpa, gpa + size)` is here: before `read` and `write`, which do not wait. What the source throws. */
  async ensureResident(gpa: Gpa, size: number): Promise<void> {
    const gfn = Math.floor(gpa / Page.Size);
    await this.residency?.ensure(gfn, Math.ceil((gpa + size) / Page.Size) - gfn);
  }

  /**
   * Memslots and touched pages. The pages are read when iterated and are views: consume or copy them before the machine runs on. What was in a guest_memfd
   * is restored to memory of the machine's own.
   * @throws PrivateMemoryError unless all memory is shared, MemslotError EINVAL if some of that is user memory, NotResidentError while some has not arrived
   */
  save(): MemoryImage {
    return { memslots: this.memslots, pages: new TouchedPages(this.vm) };
  }

  /**
   * Replaces memslots and contents by a saved image (of another Mmu, or one whose pages were copied). Watches stay; dirty logs start empty.
   * @throws MemslotError EINVAL, with nothing changed, while there are memslots of a guest_memfd; if the image is inconsistent or does not fit, and the previous
   * contents are gone then
   */
  restore(image: MemoryImage): void {
    restorePages(this.vm.slots, image);
  }
}

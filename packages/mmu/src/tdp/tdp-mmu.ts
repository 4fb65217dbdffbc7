import { Task } from "@vm/lockdep";
import { Licence } from "../access.js";
import { type Pfn, RUN } from "../arena.js";
import { KvmError } from "../kvm/errors.js";
import type { Faultin, GfnRange, GfnRangeTarget } from "../kvm/ports.js";
import type { Memslot } from "../memslots.js";
import type { Gfn } from "../units.js";
import type { View } from "../views.js";
import { Ept } from "./ept.js";
import type { GuestAccess, PageFault } from "./fault.js";
import { Invalidation } from "./invalidation.js";
import { RetPf } from "./ret-pf.js";
import { TdpRoot } from "./root.js";
import { isPresent, leafLo, Spte } from "./spte.js";
import { TablePages } from "./table-pages.js";
import type { TdpVm } from "./vm.js";

/** Table pages besides those that map every frame of the arena once: for views, and for addresses where nothing is. At 0 left, trees start over. */
const SPARE_TABLES = 1024;
/** More than one fault can need. */
const RESERVE = 16;

/** Frames announced one by one when a view goes; more are announced as all there are. */
const ANNOUNCED = 512;
const NOTHING = { start: Number.POSITIVE_INFINITY, end: 0 };

/**
 * The second level of translation: a tree of SPTEs for each view, and a mirror where private memory has page tables of its own. Faults fill the trees
 * under mmu_lock held shared, invalidation empties them under mmu_lock held exclusively.
 * Source: linux, arch/x86/kvm/mmu/mmu.c and tdp_mmu.c.
 */
export class TdpMmu implements GfnRangeTarget {
  readonly pages: TablePages;
  readonly mirror: TdpRoot | null;
  /** 5 where guest-physical addresses have more than 48 bits. */
  readonly levels: number;
  /** After Fixed or Spurious: the frame. */
  pfn = 0;
  /** After Fixed or Spurious: {@link Licence} bits, also those that EPT cannot express. */
  licence = 0;
  readonly #vm: TdpVm;
  readonly #invalidation = new Invalidation();
  #unflushed = NOTHING;
  /** Who faults and cannot wait. */
  readonly #vcpu: Task;

  constructor(vm: TdpVm) {
    this.#vm = vm;
    this.levels = vm.maxPhyAddr > 48 ? 5 : 4;
    this.pages = new TablePages(SPARE_TABLES + Math.ceil(vm.slots.arena.capacity / 512));
    this.mirror = vm.external === null ? null : new TdpRoot(this.pages, this.levels, vm.external);
    this.#vcpu = new Task(vm.locks.lockdep, "vcpu");
  }

  /** The tree that maps shared memory as `view` has it. */
  rootOf(view: View): TdpRoot {
    view.root ??= new TdpRoot(this.pages, this.levels);
    return view.root;
  }

  /** Maps what an access needs, for a vCPU in the middle of an instruction: Retry also if that would have to wait, see {@link fault}. */
  tryFault(access: GuestAccess): RetPf {
    const fault = this.#enter(access);
    return typeof fault === "number" ? fault : this.#install(this.#vcpu, fault, this.#tryFaultin(fault));
  }

  /**
   * Maps what an access needs. After Retry, whatever was in the way has had its chance: try again, unless there is something better to do by now. An
   * external table can be busy for as long as it likes, so nobody tries for ever on a caller's behalf.
   */
  async fault(task: Task, access: GuestAccess): Promise<RetPf> {
    const { seq } = this.#invalidation;
    const result = await this.#vm.locks.srcu.read(task, async () => {
      const fault = this.#enter(access);
      return typeof fault === "number" ? fault : this.#install(task, fault, await this.#faultin(task, fault));
    });
    if (result === RetPf.Retry) await this.#invalidation.passed(seq);
    return result;
  }

  #tryFaultin({ slot, target, isPrivate }: PageFault): Faultin {
    if (this.#vm.slots.residency?.bring(target, 1) === false) return { error: "EAGAIN" };
    if (slot.own) return this.#ownPage(slot, target, isPrivate);
    return this.#vm.source.tryFaultinPfn(this.#vcpu, slot, target, isPrivate);
  }

  async #faultin(task: Task, { slot, target, isPrivate }: PageFault): Promise<Faultin> {
    await this.#vm.slots.residency?.ensure(target, 1);
    if (slot.own) return this.#ownPage(slot, target, isPrivate);
    return await this.#vm.source.faultinPfn(task, slot, target, isPrivate);
  }

  /** Only a guest_memfd has private memory. */
  #ownPage(slot: Memslot, target: number, isPrivate: boolean): Faultin {
    return isPrivate ? { error: "EFAULT" } : { pfn: this.#vm.slots.touch(slot, target), writable: true };
  }

  /** What can be said before the page is there. */
  #enter({ view, gfn, want, isPrivate: asked, quiet }: GuestAccess): PageFault | RetPf {
    // Whoever used the view uses another one now, and will fault there.
    if (view.discarded) return RetPf.MemoryFault;
    if (this.pages.available < RESERVE) this.#zapAll();
    const { seq } = this.#invalidation;
    const target = view.target(gfn);
    const slot = this.#vm.slots.find(target);
    if (slot === null) {
      if (this.mirror === null || asked === false) this.#mapMmio(view, gfn);
      return RetPf.Emulate;
    }
    if (slot.readonly && want === Licence.Write) return RetPf.Emulate;
    const withheld = view.watches.of(gfn);
    if (!quiet && (withheld & want) !== 0) return RetPf.Tracked;
    const there = this.#vm.source.isPrivate(slot, target);
    const isPrivate = asked ?? there;
    if (isPrivate !== there) return RetPf.MemoryFault;
    const root = isPrivate && this.mirror !== null ? this.mirror : this.rootOf(view);
    const fault = { view, root, slot, gfn, target, want, isPrivate, withheld, seq };
    return this.#fastFault(fault) ? RetPf.Fixed : fault;
  }

  /** So that the next access needs no lookup. Private memory has no such entries: there, the guest is told (#VE). */
  #mapMmio(view: View, gfn: Gfn): void {
    this.#vm.locks.mmuLock.read(this.#vcpu, () => this.rootOf(view).map(gfn, 1, Spte.Mmio, 0));
  }

  /** A write that only its being the first holds up: no page to look up, no lock to take. Linux: fast_page_fault. */
  #fastFault({ root, slot, gfn, target, want }: PageFault): boolean {
    if (want !== Licence.Write || root === this.mirror) return false;
    const at = root.find(gfn);
    const lo = this.pages.u32[at] as number;
    const hi = this.pages.u32[at + 1] as number;
    if (!isPresent(lo) || (hi & Spte.MmuWritable) === 0) return false;
    if (!this.pages.compareExchange(at, lo, lo | Ept.W, hi)) return false;
    slot.firstWrites?.mark(target - slot.gfn);
    this.pfn = lo >>> 12;
    this.licence = (lo & Ept.Rwx) | Ept.W;
    return true;
  }

  #install(task: Task, fault: PageFault, page: Faultin): RetPf {
    if ("error" in page) return page.error === "EAGAIN" ? RetPf.Retry : RetPf.MemoryFault;
    return this.#vm.locks.mmuLock.read(task, () => {
      if (this.#invalidation.retry(fault.seq, fault.target)) return RetPf.Retry;
      return this.#map(fault, page.pfn, page.writable);
    });
  }

  /** Under mmu_lock: an SPTE with what everybody lets through. */
  #map(fault: PageFault, pfn: Pfn, writable: boolean): RetPf {
    const { root, slot, gfn, target, want, withheld } = fault;
    let rights = Licence.All & ~withheld;
    // A mirror's entries have all rights: the tables behind it know nothing else.
    if (root === this.mirror && rights !== Licence.All) return RetPf.Tracked;
    let hi = 0;
    if (slot.readonly || !writable) rights &= ~Licence.Write;
    else hi |= Spte.HostWritable;
    const clean = want !== Licence.Write && slot.firstWrites?.has(target - slot.gfn) === false;
    if (clean && (rights & Licence.Write) !== 0) {
      rights &= ~Licence.Write;
      if ((rights & Licence.Read) !== 0) hi |= Spte.MmuWritable;
    }
    const level = this.#isLarge(fault, pfn) ? 2 : 1;
    const inside = level === 2 ? gfn % RUN : 0;
    const result = root.map(gfn - inside, level, leafLo(pfn - inside, rights, level), hi);
    if (result !== RetPf.Fixed && result !== RetPf.Spurious) return result;
    if (want === Licence.Write) {
      if ((rights & Licence.Write) === 0) return RetPf.MemoryFault;
      slot.firstWrites?.mark(target - slot.gfn);
    }
    this.pfn = pfn;
    this.licence = rights;
    return result;
  }

  /**
   * Whether the 2 MiB page around can be mapped as one: frames in a row, and nobody has anything against any of its pages. Those of guest_memfds and
   * of user memory come one by one. Linux: kvm_mmu_max_mapping_level.
   */
  #isLarge({ view, root, slot, gfn, target }: PageFault, pfn: Pfn): boolean {
    if (!slot.hugepages || slot.firstWrites !== null || target !== gfn) return false;
    const first = gfn - (gfn % RUN);
    if (this.#vm.slots.residency?.hasAll(first, RUN) === false) return false;
    return slot.isRun(first, pfn - (gfn % RUN)) && view.isPlain(first, first + RUN) && !root.isSplit(gfn);
  }

  async mapPrivatePfn(task: Task, gfn: Gfn, pfn: Pfn, signalPending?: () => boolean): Promise<void> {
    this.#vm.locks.slotsLock.assertHeld(task);
    const slot = this.#vm.slots.find(gfn);
    const binding = slot?.gmem ?? null;
    if (slot === null || binding === null) throw new KvmError("EFAULT", `guest frame ${gfn} has no guest_memfd`);
    binding.invalidateLock.assertHeld(task);
    const view = this.#vm.views.at(0);
    const withheld = view.watches.of(gfn);
    if ((withheld & Licence.Write) !== 0) throw new KvmError("EPERM", `writes to guest frame ${gfn} are watched`);
    const root = this.mirror ?? this.rootOf(view);
    for (;;) {
      if (signalPending?.()) throw new KvmError("EINTR", "a signal waits");
      const { seq } = this.#invalidation;
      const fault = { view, root, slot, gfn, target: gfn, want: Licence.Write, isPrivate: true, withheld, seq };
      const result = this.#install(task, fault, { pfn, writable: true });
      if (result === RetPf.Fixed) return;
      if (result !== RetPf.Retry) throw new KvmError("EIO", `guest frame ${gfn} is mapped already, or the VM is dead`);
      await this.#invalidation.passed(seq);
    }
  }

  invalidateBegin(task: Task): void {
    this.#vm.locks.mmuLock.assertHeldExclusive(task);
    this.#invalidation.begin();
  }

  invalidateRangeAdd(task: Task, start: number, end: number): void {
    this.#vm.locks.mmuLock.assertHeldExclusive(task);
    this.#invalidation.add(start, end);
  }

  invalidateEnd(task: Task): void {
    this.#vm.locks.mmuLock.assertHeldExclusive(task);
    this.#invalidation.end();
  }

  /** With a mirror, private memory is mapped there and shared memory elsewhere; without, every view may map either. */
  unmapGfnRange(task: Task, range: GfnRange): boolean {
    this.#vm.locks.mmuLock.assertHeldExclusive(task);
    const { start, end } = this.#unflushed;
    this.#unflushed = { start: Math.min(start, range.start), end: Math.max(end, range.end) };
    if (range.private) this.mirror?.zap(range.start, range.end);
    if (this.mirror === null || range.shared) this.#zapViews(range.start, range.end);
    // Mapped or not: instructions may have been decoded from these pages, and whoever did hears of it by the flush.
    return true;
  }

  /** Flushes what was unmapped since the last flush. */
  flushRemoteTlbs(): void {
    const { start, end } = this.#unflushed;
    if (start < end) this.#vm.invalidated.emit(start, end - start, true);
    this.#unflushed = NOTHING;
  }

  /** Frames `[gfn, gfn + pages)` mean something else now, in every view. */
  changed(gfn: Gfn, pages: number): void {
    const end = gfn + pages;
    this.#invalidate(gfn, end, () => {
      this.#zapViews(gfn, end);
      this.mirror?.zap(gfn, end);
    });
    this.#vm.invalidated.emit(gfn, pages, true);
  }

  /** A frame means something else now in one view. */
  changedIn(view: View, gfn: Gfn): void {
    this.#invalidate(view.target(gfn), view.target(gfn) + 1, () => view.root?.zap(gfn, gfn + 1));
    this.#vm.invalidated.emit(gfn, 1, false);
  }

  /** Any frame may mean something else now in one view. */
  changedAllIn(view: View): void {
    const { maxGfn } = this.#vm.slots;
    this.#invalidate(0, maxGfn, () => view.root?.zap(0, maxGfn));
    this.#vm.invalidated.emit(0, maxGfn, false);
  }

  /** Takes W from pages of a slot: the next write is logged. */
  writeProtect(gfn: Gfn, pages: number): void {
    this.#vm.locks.mmuLock.write(this.#vm.host, () => {
      for (const { root, start, end } of this.#mappings(gfn, gfn + pages)) root.writeProtect(start, end);
    });
    this.#vm.invalidated.emit(gfn, pages, false);
  }

  /** Ends the tree of a view that is not used any more. */
  discard(view: View): void {
    this.#invalidate(0, this.#vm.slots.maxGfn, () => view.root?.free());
    view.root = null;
    if (view.changes <= ANNOUNCED) for (const gfn of view.changed()) this.#vm.invalidated.emit(gfn, 1, false);
    else this.#vm.invalidated.emit(0, this.#vm.slots.maxGfn, false);
  }

  #zapViews(from: number, to: number): void {
    for (const { root, start, end } of this.#mappings(from, to)) root.zap(start, end);
  }

  /** Where views have frames `[from, to)`. */
  *#mappings(from: number, to: number): Iterable<{ root: TdpRoot; start: number; end: number }> {
    for (const view of this.#vm.views.all()) {
      const { root } = view;
      if (root === null) continue;
      yield { root, start: from, end: to };
      for (const gfn of view.seeming(from, to)) yield { root, start: gfn, end: gfn + 1 };
    }
  }

  /** Table pages have run out. */
  #zapAll(): void {
    this.#invalidate(0, this.#vm.slots.maxGfn, () => this.#zapViews(0, this.#vm.slots.maxGfn));
    this.#vm.invalidated.emit(0, this.#vm.slots.maxGfn, false);
  }

  #invalidate(start: number, end: number, zap: () => void): void {
    const task = this.#vm.host;
    this.#vm.locks.mmuLock.write(task, () => {
      this.invalidateBegin(task);
      this.invalidateRangeAdd(task, start, end);
      zap();
      this.invalidateEnd(task);
    });
  }
}

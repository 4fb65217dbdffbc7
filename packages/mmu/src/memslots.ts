import { type FrameArena, type Pfn, RUN } from "./arena.js";
import { Page } from "./bits.js";
import { DirtyLog } from "./dirty-log.js";
import { AllFirstWrites, type FirstWrites } from "./first-writes.js";
import type { GmemRegion, SlotEditor } from "./gmem/region.js";
import type { BackedSlot, GmemBinding } from "./kvm/ports.js";
import type { Residency } from "./residency.js";
import type { Gfn, Gpa } from "./units.js";

/** A memslot as its user describes it; the fields of `struct kvm_userspace_memory_region`. */
export interface MemslotDesc {
  /** Identity of the slot, 0..32763. */
  readonly slot: number;
  /** First guest-physical byte; a multiple of 4096. */
  readonly gpa: Gpa;
  /** Bytes; a multiple of 4096. 0 deletes the slot. */
  readonly size: number;
  /** The guest's writes leave as MMIO (KVM_MEM_READONLY). Default false; fixed for the life of the slot. */
  readonly readonly?: boolean;
  /**
   * Take frames by the 2 MiB where that is possible, and map them so: fewer faults for more memory than is touched. Default false; fixed for the life of
   * the slot.
   */
  readonly hugepages?: boolean;
  /** Record which pages are written (KVM_MEM_LOG_DIRTY_PAGES). Default false. */
  readonly dirtyLog?: boolean;
}

/** Why a memslot call was refused; `code` is what KVM's ioctl would return. Nothing has changed. */
export class MemslotError extends Error {
  override readonly name = "MemslotError";
  constructor(
    readonly code: "EBUSY" | "EINVAL" | "EEXIST" | "ENOENT" | "ENOMEM",
    message: string,
  ) {
    super(message);
  }
}

/** Slot identities are below this (KVM_USER_MEM_SLOTS on x86). */
const SLOT_IDS = 32764;

/** What does not change while a memslot lives. */
interface MemslotKind extends Required<Pick<MemslotDesc, "readonly" | "hugepages">> {
  readonly userAddr: number | null;
  /** Whether the frames behind it are its own, and not of a guest_memfd or of user memory. */
  readonly own: boolean;
}

/** One range of guest-physical memory and the frames behind it. */
export class Memslot implements BackedSlot, MemslotKind {
  readonly readonly: boolean;
  readonly hugepages: boolean;
  readonly userAddr: number | null;
  readonly own: boolean;
  /** Page of the slot -> {@link Pfn}, 0 while untouched; empty if the frames are not its own. */
  readonly pfns: Uint32Array;
  #dirty: DirtyLog | null = null;
  #told: readonly FirstWrites[] = [];
  /** Who is told of a page before it is written for the first time: {@link dirty}, and others; null: nobody. */
  firstWrites: FirstWrites | null = null;
  hasGmem = false;
  gmem: GmemBinding | null = null;
  gmemOnly = false;

  constructor(
    readonly slot: number,
    public gfn: Gfn,
    readonly pages: number,
    { readonly = false, hugepages = false, userAddr = null, own = true }: Partial<MemslotKind> = {},
  ) {
    this.readonly = readonly;
    this.hugepages = hugepages;
    this.userAddr = userAddr;
    this.own = own;
    this.pfns = new Uint32Array(own ? pages : 0);
  }

  get dirty(): DirtyLog | null {
    return this.#dirty;
  }

  set dirty(log: DirtyLog | null) {
    this.#dirty = log;
    this.#changed();
  }

  /** Whether someone but the dirty log is told of writes, and reads what was there before. */
  get isFrozen(): boolean {
    return this.#told.length > 0;
  }

  /** Has `one` told of first writes, from when its pages are write-protected on. */
  tell(one: FirstWrites): void {
    this.#told = [...this.#told, one];
    this.#changed();
  }

  ignore(one: FirstWrites): void {
    this.#told = this.#told.filter((other) => other !== one);
    this.#changed();
  }

  #changed(): void {
    const all = this.#dirty === null ? this.#told : [this.#dirty, ...this.#told];
    this.firstWrites = all.length < 2 ? (all[0] ?? null) : new AllFirstWrites(all);
  }

  /** Whether the 2 MiB page at `gfn`, a multiple of 512, is all in the slot and is made of the frames from `pfn` on. */
  isRun(gfn: Gfn, pfn: number): boolean {
    const first = gfn - this.gfn;
    if (first < 0 || first + RUN > this.pages || pfn % RUN !== 0) return false;
    for (let k = 0; k < RUN; k++) if (this.pfns[first + k] !== pfn + k) return false;
    return true;
  }

  /** The slot as {@link Memslots.set} would take it. */
  describe(): Required<MemslotDesc> {
    return {
      slot: this.slot,
      gpa: this.gfn * Page.Size,
      size: this.pages * Page.Size,
      readonly: this.readonly,
      hugepages: this.hugepages,
      dirtyLog: this.dirty !== null,
    };
  }
}

/** What is found before anything was: it contains no gfn. */
const NOWHERE = new Memslot(-1, 0, 0);

/**
 * The guest-physical address space: disjoint memslots over frames of the arena. What lies between them is MMIO.
 *
 * As KVM_SET_USER_MEMORY_REGION (linux, Documentation/virt/kvm/api.rst 4.35): a new identity creates, size 0 deletes (its frames go back),
 * the same size at another address moves, other flags switch dirty logging; any other change is EINVAL.
 */
export class Memslots implements SlotEditor {
  /** What of the memory has not arrived; null: all of it is here. No slot is made or moved over what has not. */
  residency: Residency | null = null;
  readonly #byId = new Map<number, Memslot>();
  /** Ascending by gfn. */
  #sorted: Memslot[] = [];
  #last = NOWHERE;

  /**
   * @param maxGfn first guest frame number that cannot be mapped
   * @param changed called after a change with every range of pages that now means something else
   */
  constructor(
    readonly arena: FrameArena,
    readonly maxGfn: Gfn,
    readonly changed: (gfn: Gfn, pages: number) => void,
  ) {}

  /** All slots, ascending by guest address. */
  get all(): readonly Memslot[] {
    return this.#sorted;
  }

  /** The slot that backs `gfn`, or null: MMIO. */
  find(gfn: Gfn): Memslot | null {
    const last = this.#last;
    const page = gfn - last.gfn;
    if (page >= 0 && page < last.pages) return last;
    return this.#search(gfn);
  }

  #search(gfn: Gfn): Memslot | null {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const slot = this.#sorted[middle] ?? NOWHERE;
      if (gfn < slot.gfn) high = middle;
      else if (gfn >= slot.gfn + slot.pages) low = middle + 1;
      else {
        this.#last = slot;
        return slot;
      }
    }
    return null;
  }

  /** The frame of page `gfn` of `slot`, taken now if it was never touched. */
  touch(slot: Memslot, gfn: Gfn): Pfn {
    const page = gfn - slot.gfn;
    const pfn = slot.pfns[page] as Pfn;
    if (pfn !== 0) return pfn;
    if (slot.hugepages && this.#touchRun(slot, gfn - (gfn % RUN) - slot.gfn)) return slot.pfns[page] as Pfn;
    const fresh = this.arena.take();
    slot.pfns[page] = fresh;
    return fresh;
  }

  /** Takes the frames of a whole 2 MiB page, none of which was touched. False: the slot has not all of it, or there is no run. */
  #touchRun(slot: Memslot, first: number): boolean {
    if (first < 0 || first + RUN > slot.pages) return false;
    if (slot.pfns.subarray(first, first + RUN).some((pfn) => pfn !== 0)) return false;
    const run = this.arena.takeRun();
    if (run === null) return false;
    for (let k = 0; k < RUN; k++) slot.pfns[first + k] = run + k;
    return true;
  }

  /** @throws MemslotError ENOENT if there is no such slot */
  byId(id: number): Memslot {
    const slot = this.#byId.get(id);
    if (slot === undefined)
      throw new MemslotError("ENOENT", `no memslot ${id}; there are [${[...this.#byId.keys()].join(", ")}]`);
    return slot;
  }

  /** Creates, deletes, moves or re-flags a slot. @throws MemslotError before anything has changed */
  set(desc: MemslotDesc): void {
    this.#check(desc);
    const old = this.#byId.get(desc.slot);
    if (old?.own === false) {
      throw new MemslotError(
        "EINVAL",
        `memslot ${desc.slot} is made of a guest_memfd: it can only be deleted, by deleteRegion`,
      );
    }
    if (desc.size === 0) {
      this.#delete(this.byId(desc.slot));
    } else if (old === undefined) {
      this.#create(desc);
    } else {
      this.#change(old, desc);
    }
  }

  #create(desc: MemslotDesc): void {
    const slot = new Memslot(desc.slot, desc.gpa / Page.Size, desc.size / Page.Size, desc);
    this.#refuseOverlap(slot.gfn, slot.pages, null);
    this.#refuseAbsent(slot.gfn, slot.pages);
    if (slot.pages > this.arena.available) {
      throw new MemslotError(
        "ENOMEM",
        `memslot ${desc.slot} needs ${slot.pages} frames, ${this.arena.available} are available`,
      );
    }
    this.arena.reserve(slot.pages);
    if (desc.dirtyLog) slot.dirty = new DirtyLog(slot.pages);
    this.#add(slot);
  }

  #add(slot: Memslot): void {
    this.#byId.set(slot.slot, slot);
    this.#sort();
    this.changed(slot.gfn, slot.pages);
  }

  insert({ slot: id, gpa, size, userAddr }: Pick<GmemRegion, "slot" | "gpa" | "size" | "userAddr">): Memslot {
    this.#check({ slot: id, gpa, size });
    if (this.#byId.has(id)) throw new MemslotError("EEXIST", `there is a memslot ${id}`);
    if (size === 0) throw new MemslotError("EINVAL", `memslot ${id} would be empty`);
    const slot = new Memslot(id, gpa / Page.Size, size / Page.Size, { userAddr, own: false });
    this.#refuseOverlap(slot.gfn, slot.pages, null);
    this.#refuseAbsent(slot.gfn, slot.pages);
    this.#add(slot);
    return slot;
  }

  remove(slot: BackedSlot): void {
    this.#byId.delete(slot.slot);
    this.#sort();
    this.changed(slot.gfn, slot.pages);
  }

  #change(slot: Memslot, desc: MemslotDesc): void {
    const gfn = desc.gpa / Page.Size;
    const { readonly = false, hugepages = false } = desc;
    if (slot.pages !== desc.size / Page.Size || slot.readonly !== readonly || slot.hugepages !== hugepages) {
      const is = `${slot.pages * Page.Size} bytes, readonly ${slot.readonly}, hugepages ${slot.hugepages}`;
      throw new MemslotError("EINVAL", `memslot ${slot.slot} is ${is}; delete it first to change that`);
    }
    this.#refuseOverlap(gfn, slot.pages, slot);
    const oldGfn = slot.gfn;
    if (gfn !== oldGfn) refuseFrozen(slot);
    if (gfn !== oldGfn) for (const at of [oldGfn, gfn]) this.#refuseAbsent(at, slot.pages);
    slot.gfn = gfn;
    const log = desc.dirtyLog ?? false;
    if (log !== (slot.dirty !== null)) slot.dirty = log ? new DirtyLog(slot.pages) : null;
    this.#sort();
    this.changed(oldGfn, slot.pages);
    if (gfn !== oldGfn) this.changed(gfn, slot.pages);
  }

  #delete(slot: Memslot): void {
    refuseFrozen(slot);
    this.remove(slot);
    for (const pfn of slot.pfns) {
      if (pfn !== 0) this.arena.give(pfn as Pfn);
    }
    this.arena.unreserve(slot.pages);
  }

  #sort(): void {
    this.#sorted = [...this.#byId.values()].sort((a, b) => a.gfn - b.gfn);
    this.#last = NOWHERE;
  }

  #check({ slot, gpa, size }: MemslotDesc): void {
    if (!Number.isInteger(slot) || slot < 0 || slot >= SLOT_IDS) {
      throw new MemslotError("EINVAL", `memslot identity ${slot} is not an integer in 0..${SLOT_IDS - 1}`);
    }
    for (const [what, value] of [
      ["gpa", gpa],
      ["size", size],
    ] as const) {
      if (!Number.isInteger(value / Page.Size) || value < 0) {
        throw new MemslotError("EINVAL", `memslot ${slot}: ${what} ${value} is not a multiple of 4096, at least 0`);
      }
    }
    const limit = this.maxGfn * Page.Size;
    if (gpa + size > limit) {
      throw new MemslotError(
        "EINVAL",
        `memslot ${slot} ends at ${gpa + size}, beyond the guest-physical address space of ${limit} bytes`,
      );
    }
  }

  #refuseAbsent(gfn: Gfn, pages: number): void {
    const absent = this.residency?.firstAbsent(gfn, pages) ?? -1;
    if (absent >= 0)
      throw new MemslotError("EBUSY", `memory at ${absent * Page.Size} has not arrived yet: wait until it has`);
  }

  #refuseOverlap(gfn: Gfn, pages: number, self: Memslot | null): void {
    for (const other of this.#sorted) {
      if (other !== self && gfn < other.gfn + other.pages && other.gfn < gfn + pages) {
        const range = `[${other.gfn * Page.Size}, ${(other.gfn + other.pages) * Page.Size})`;
        throw new MemslotError("EEXIST", `memslot at ${gfn * Page.Size} overlaps memslot ${other.slot} ${range}`);
      }
    }
  }
}

function refuseFrozen({ slot, isFrozen }: Memslot): void {
  if (isFrozen)
    throw new MemslotError("EBUSY", `memslot ${slot} is frozen: others read what was in it, and close that first`);
}

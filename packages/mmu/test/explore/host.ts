/** A process with one VM over a guest_memfd, its page tables those of the TDP MMU. */
import { type Deadlock, Lockdep, type Report, type Stack, Task } from "@vm/lockdep";
import type { FrameArena } from "../../src/arena.js";
import { MemoryAttribute } from "../../src/gmem/attribute-map.js";
import { setMemoryAttributes } from "../../src/gmem/attributes.js";
import { setMemoryAttributes2 } from "../../src/gmem/convert.js";
import type { Folio } from "../../src/gmem/folio.js";
import { GuestMemfd } from "../../src/gmem/guest-memfd.js";
import { GmemFlag } from "../../src/gmem/inode.js";
import type { Mm } from "../../src/gmem/mm.js";
import { createRegion, deleteRegion } from "../../src/gmem/region.js";
import type { Vm } from "../../src/gmem/vm.js";
import type { GuestVm } from "../../src/guest-vm.js";
import type { BackedSlot, GfnRangeTarget } from "../../src/kvm/ports.js";
import { Mmu } from "../../src/mmu.js";
import type { PrivateMemory } from "../../src/tdp/external.js";
import type { TdpRoot } from "../../src/tdp/root.js";
import { isPresent } from "../../src/tdp/spte.js";
import type { TdpMmu } from "../../src/tdp/tdp-mmu.js";
import type { View } from "../../src/views.js";
import { newMemory } from "../fixture.js";
import type { Scheduler } from "./scheduler.js";
import { SecureEpt } from "./secure-ept.js";

export const PAGE = 4096;
/** Pages of the guest_memfd and of the memslot. */
export const PAGES = 4;
export const FIRST_GFN = 0x100;
const FRAMES = 30;

const NOWHERE: Stack = { site: "somewhere", frames: [] };

/**
 * What is private: pages of the guest_memfd, converted in place; frames of the VM, with shared memory in the process; or nothing, as for an ordinary guest in
 * a guest_memfd.
 */
export type Kind = "in place" | "per VM" | "all shared";

export interface HostOptions {
  readonly kind: Kind;
  /** Private memory, if any, has page tables of its own. */
  readonly mirror: boolean;
  /** Lookups take invalidate_lock, as they must if pages are converted in place. */
  readonly inPlaceConversion: boolean;
  readonly faults: Faults;
}

/** What can be left out, to see whether it is missed. */
export interface Faults {
  readonly gupInsideInvalidateLock?: boolean;
  readonly noInvalidationSequence?: boolean;
  readonly noFlush?: boolean;
  readonly noUnmap?: boolean;
  readonly noUserUnmap?: boolean;
  readonly noReferenceCheck?: boolean;
  /** A memslot can be seen before it is bound. */
  readonly earlyMemslot?: boolean;
  /** A user fault lets invalidate_lock go before it maps the page. */
  readonly lateUserMapping?: boolean;
  /** What the process writes goes nowhere. */
  readonly lostStores?: boolean;
  /** The host comes to the first page of a memslot whichever it means. */
  readonly wrongHostPage?: boolean;
}

/** A translation in a vCPU's TLB. */
export interface TlbEntry {
  readonly gfn: number;
  readonly isPrivate: boolean;
  readonly pfn: number;
}

export class Host {
  readonly lockdep: Lockdep;
  readonly problems: string[] = [];
  readonly secureEpt: SecureEpt | null;
  readonly mmu: Mmu;
  /** The VM, less what is left out. */
  readonly vm: Vm;
  readonly tlb = new Map<string, TlbEntry>();
  readonly gmem: GuestMemfd;
  /** Where the process sees shared memory. */
  userAddr = 0;
  #tasks = 0;

  constructor(
    readonly options: HostOptions,
    readonly scheduler: Scheduler,
  ) {
    const { kind, mirror, faults, inPlaceConversion } = options;
    const tell = ({ text }: Report | Deadlock): void => void this.problems.push(text);
    const { beforeAcquire } = scheduler;
    // The old order is to be found by its deadlock, and not by the validator.
    const enabled = !faults.gupInsideInvalidateLock;
    const captureStack = (): Stack => NOWHERE;
    this.lockdep = new Lockdep({ enabled, onReport: tell, onDeadlock: tell, beforeAcquire, captureStack });
    this.secureEpt = mirror && kind !== "all shared" ? new SecureEpt((problem) => this.problems.push(problem)) : null;
    const external = this.secureEpt;
    const privateMemory: PrivateMemory = external === null ? "attributes" : { external, sharedFrom: 2 ** 27 };
    this.mmu = new Mmu({
      memory: newMemory(FRAMES + 1),
      arenaStart: PAGE,
      arenaEnd: (1 + FRAMES) * PAGE,
      ...(kind === "all shared" ? {} : { privateMemory }),
      kvm: { vmMemoryAttributes: kind !== "in place", inPlaceConversion, gupInsideInvalidateLock: !enabled },
      lockdep: this.lockdep,
    });
    this.mmu.onInvalidate((gfn, pages) => this.#flush(gfn, pages));
    this.vm = Object.create(this.guest, { target: { value: faulty(this.tdp, faults) } });
    this.gmem = GuestMemfd.create(this.vm, {
      size: PAGES * PAGE,
      flags: this.sharedInFile ? GmemFlag.Mmap | GmemFlag.InitShared : 0,
    });
    this.#spoil(faults);
  }

  #spoil(faults: Faults): void {
    const { gmem, scheduler } = this;
    const { inode } = gmem;
    if (faults.noUserUnmap) inode.unmapUser = () => undefined;
    if (faults.noReferenceCheck) inode.firstReferenced = () => undefined;
    if (faults.earlyMemslot) {
      const bind = gmem.bind.bind(gmem);
      gmem.bind = (task, offset, pages, insert) => {
        const slot = insert();
        return bind(task, offset, pages, () => slot);
      };
    }
    if (faults.lostStores) this.mm.store = () => Promise.resolve();
    if (faults.wrongHostPage) {
      const peek = this.guest.source.peekShared.bind(this.guest.source);
      this.guest.source.peekShared = (slot) => peek(slot, slot.gfn);
    }
    if (faults.lateUserMapping) {
      const fault = gmem.fault.bind(gmem);
      gmem.fault = async (task, index, install) => {
        const found: Folio[] = [];
        const result = await fault(task, index, (folio) => found.push(folio));
        await scheduler.stop(task);
        for (const folio of found) install(folio);
        return result;
      };
    }
  }

  /** Whether shared memory is in the guest_memfd, and not elsewhere in the process. */
  get sharedInFile(): boolean {
    return this.options.kind !== "per VM";
  }

  get guest(): GuestVm {
    return this.mmu.vm;
  }

  get arena(): FrameArena {
    return this.guest.slots.arena;
  }

  get mm(): Mm {
    return this.guest.mm;
  }

  get tdp(): TdpMmu {
    return this.guest.target;
  }

  get view(): View {
    return this.guest.views.at(0);
  }

  async prepare(): Promise<void> {
    const task = this.newTask("setup");
    const file = this.sharedInFile ? { file: this.gmem } : {};
    this.userAddr = await this.mm.mmap(task, { length: PAGES * PAGE, ...file });
    await this.createRegion(task);
    if (this.options.kind !== "all shared") await this.convert(task, 0, PAGES / 2, true);
  }

  newTask(name: string): Task {
    return new Task(this.lockdep, `${this.#tasks++} ${name}`);
  }

  async createRegion(task: Task): Promise<void> {
    const { userAddr } = this;
    const region = { slot: 0, gpa: FIRST_GFN * PAGE, size: PAGES * PAGE, userAddr, gmem: this.gmem, offset: 0 };
    await createRegion(task, this.vm, this.guest.slots, region);
  }

  deleteRegion(task: Task): Promise<void> {
    return deleteRegion(task, this.vm, this.guest.slots, 0);
  }

  async convert(task: Task, first: number, count: number, toPrivate: boolean): Promise<void> {
    const attributes = toPrivate ? MemoryAttribute.Private : MemoryAttribute.None;
    const range = { size: count * PAGE, attributes };
    if (this.options.kind === "in place")
      await setMemoryAttributes2(task, this.gmem, { offset: first * PAGE, ...range });
    else await setMemoryAttributes(task, this.vm, { address: (FIRST_GFN + first) * PAGE, ...range });
  }

  isPrivate(index: number): boolean {
    const inPlace = this.options.kind === "in place";
    const attribute = inPlace ? this.gmem.inode.attributes.at(index) : this.vm.attributes.at(FIRST_GFN + index);
    return attribute === MemoryAttribute.Private;
  }

  get slot(): BackedSlot | null {
    return this.guest.slots.find(FIRST_GFN);
  }

  /** Frame of page `index` of the guest_memfd; 0 if there is none. */
  gmemFrame(index: number): number {
    return this.gmem.inode.peek(index)?.pfn ?? 0;
  }

  /** Frame that the process has mapped at page `index` of the shared memory; 0 if there is none. */
  userFrame(index: number): number {
    return this.mm.peek(this.userAddr + index * PAGE)?.pfn ?? 0;
  }

  /** The frame that the page tables have for `gfn`, as memory of a kind. */
  spteFrame(gfn: number, isPrivate: boolean): number {
    const mirrored = isPrivate ? this.tdp.mirror : null;
    const root: TdpRoot = mirrored ?? this.tdp.rootOf(this.view);
    const lo = this.tdp.pages.u32[root.find(gfn)] ?? 0;
    return isPresent(lo) ? lo >>> 12 : 0;
  }

  /** First word of a frame: what was last written to it. */
  stampIn(pfn: number): number {
    return this.guest.slots.arena.u32[pfn * (PAGE / 4)] ?? 0;
  }

  #flush(gfn: number, pages: number): void {
    for (const [key, entry] of this.tlb) if (entry.gfn >= gfn && entry.gfn < gfn + pages) this.tlb.delete(key);
  }
}

/** The page tables with something left out. */
function faulty(tdp: TdpMmu, faults: Faults): GfnRangeTarget {
  const sequence = !faults.noInvalidationSequence;
  return {
    invalidateBegin: (task) => sequence && tdp.invalidateBegin(task),
    invalidateRangeAdd: (task, start, end) => sequence && tdp.invalidateRangeAdd(task, start, end),
    unmapGfnRange: (task, range) => !faults.noUnmap && tdp.unmapGfnRange(task, range),
    flushRemoteTlbs: () => faults.noFlush || tdp.flushRemoteTlbs(),
    invalidateEnd: (task) => sequence && tdp.invalidateEnd(task),
    mapPrivatePfn: (task, gfn, pfn) => tdp.mapPrivatePfn(task, gfn, pfn),
  };
}

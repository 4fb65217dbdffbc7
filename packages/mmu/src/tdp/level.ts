import { ExitFlag, Licence, Status } from "../access.js";
import type { Memslots } from "../memslots.js";
import type { SecondLevel } from "../second-level.js";
import type { View, Views } from "../views.js";
import { Ept } from "./ept.js";
import { EptExit, EptWalker } from "./ept-walk.js";
import { RetPf } from "./ret-pf.js";
import type { TdpRoot } from "./root.js";
import { Spte } from "./spte.js";
import type { TdpMmu } from "./tdp-mmu.js";

/** Of the processor that walks SPTEs. Frames and table pages have numbers below 2^20. */
const FEATURES = { executeOnly: true, pages2M: true, pages1G: false, accessedDirty: false, maxPhyAddr: 32 } as const;

/**
 * The processor's side of the TDP MMU: looks SPTEs up as EPT entries, and has the MMU handle violations.
 *
 * The page walk's own accesses go by what is present, whatever is withheld: KVM introspection lets them pass. A and D in page tables of a read-only slot
 * stay as they are (linux, arch/x86/kvm/mmu/paging_tmpl.h, update_accessed_dirty_bits).
 */
export class TdpLevel implements SecondLevel {
  pfn = 0;
  gfn = 0;
  licence = 0;
  flags = 0;
  refused = false;
  readonly #u32: Uint32Array;
  readonly #walker: EptWalker;
  readonly #sharedFrom: number;
  #view: View;
  /** Of shared memory. */
  #viewRoot: TdpRoot;
  /** Of addresses without the shared bit. */
  #root: TdpRoot;

  /** @param sharedFrom frame number of the shared bit; without a mirror there is none */
  constructor(
    readonly mmu: TdpMmu,
    readonly slots: Memslots,
    readonly views: Views,
    sharedFrom: number,
  ) {
    this.#u32 = mmu.pages.u32;
    this.#walker = new EptWalker(mmu.pages, FEATURES);
    this.#sharedFrom = mmu.mirror === null ? Number.POSITIVE_INFINITY : sharedFrom;
    this.#view = views.at(0);
    this.#viewRoot = mmu.rootOf(this.#view);
    this.#root = mmu.mirror ?? this.#viewRoot;
  }

  use(number: number): void {
    this.refused = false;
    const view = this.views.at(number);
    if (view.root !== this.#viewRoot) this.#switch(view);
  }

  #switch(view: View): void {
    this.#view = view;
    this.#viewRoot = this.mmu.rootOf(view);
    this.#root = this.mmu.mirror ?? this.#viewRoot;
  }

  resolve(seeming: number, want: number): Status {
    if (seeming >= this.#sharedFrom) return this.#miss(this.#viewRoot, seeming - this.#sharedFrom, want);
    const lo = (this.#u32[this.#root.cached(seeming)] as number) | 0;
    const need = want | Spte.Present;
    if ((lo & need) !== need) return this.#miss(this.#root, seeming, want);
    this.pfn = lo >>> 12;
    this.licence = lo & Ept.Rwx;
    this.gfn = this.#view.target(seeming);
    return Status.Ok;
  }

  /** Nothing remembered, or not what it takes. */
  #miss(root: TdpRoot, gfn: number, want: number): Status {
    const walker = this.#walker;
    const exit = walker.walk(root.table, this.mmu.levels, gfn, { want });
    // The only entries that are misconfigured are those of MMIO.
    if (exit === EptExit.Misconfiguration) return Status.Mmio;
    if (exit === EptExit.Violation) return this.#violation(root, gfn, want);
    if (walker.level === 1) root.remember(gfn, walker.at);
    this.pfn = walker.pfn;
    this.licence = walker.rights;
    this.gfn = this.#view.target(gfn);
    return Status.Ok;
  }

  #violation(root: TdpRoot, gfn: number, want: number): Status {
    const result = this.#fault(root, gfn, want, false);
    if (result === RetPf.Emulate) return Status.Mmio;
    if (result !== RetPf.Fixed && result !== RetPf.Spurious) return Status.Exit;
    this.pfn = this.mmu.pfn;
    this.licence = this.mmu.licence;
    this.gfn = this.#view.target(gfn);
    return Status.Ok;
  }

  /** An access is to private memory if its page tables are; without such, it is to what there is. */
  #fault(root: TdpRoot, gfn: number, want: number, quiet: boolean): RetPf {
    const { mirror } = this.mmu;
    const isPrivate = mirror === null ? undefined : root === mirror;
    const result = this.mmu.tryFault({ view: this.#view, gfn, want, isPrivate, quiet });
    this.flags = 0;
    if (result === RetPf.Retry) this.flags = ExitFlag.Retry;
    if (result === RetPf.MemoryFault) this.flags = ExitFlag.Absent;
    if (result !== RetPf.Tracked && isPrivate) this.flags |= ExitFlag.Private;
    return result;
  }

  table(seeming: number): number {
    const lo = (this.#u32[this.#root.cached(seeming)] as number) | 0;
    return (lo & Spte.Present) !== 0 ? lo >>> 12 : this.#tableMiss(seeming);
  }

  #tableMiss(seeming: number): number {
    const gfn = this.#view.target(seeming);
    const slot = this.slots.find(gfn);
    if (slot === null) return -1;
    if (slot.own && slot.pfns[gfn - slot.gfn] === 0) return 0;
    const result = this.#fault(this.#root, seeming, Licence.Read, true);
    if (result === RetPf.Fixed || result === RetPf.Spurious) return this.mmu.pfn;
    this.refused = result !== RetPf.Emulate;
    this.gfn = seeming;
    return -1;
  }

  mayMark(seeming: number): boolean {
    if (((this.#u32[this.#root.cached(seeming)] as number) & Ept.W) !== 0) return true;
    const gfn = this.#view.target(seeming);
    const slot = this.slots.find(gfn);
    if (slot === null || slot.readonly) return false;
    slot.dirty?.mark(gfn - slot.gfn);
    return true;
  }
}

import type { Task } from "@vm/lockdep";
import { ExitFlag, Licence, Status } from "../access.js";
import { RUN } from "../arena.js";
import type { SecondLevel } from "../second-level.js";
import type { Gfn } from "../units.js";
import type { View } from "../views.js";
import { Ept } from "./ept.js";
import { EptExit, EptWalker } from "./ept-walk.js";
import type { PrivateMemory } from "./external.js";
import { RetPf } from "./ret-pf.js";
import type { TdpRoot } from "./root.js";
import { isPresent, Spte } from "./spte.js";
import type { TdpMmu } from "./tdp-mmu.js";
import type { TdpVm } from "./vm.js";

/** What the processor's side needs besides. */
export interface TdpLevelVm extends TdpVm {
  readonly target: TdpMmu;
  readonly privateMemory: PrivateMemory | null;
  /** From this guest frame on, addresses have the shared bit. */
  readonly sharedFrom: number;
}

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
  refused = Status.Ok;
  readonly #vm: TdpLevelVm;
  readonly #mmu: TdpMmu;
  readonly #u32: Uint32Array;
  readonly #walker: EptWalker;
  readonly #sharedFrom: number;
  #view: View;
  /** Of shared memory. */
  #viewRoot: TdpRoot;
  /** Of addresses without the shared bit. */
  #root: TdpRoot;

  constructor(vm: TdpLevelVm) {
    this.#vm = vm;
    this.#mmu = vm.target;
    this.#u32 = vm.target.pages.u32;
    this.#walker = new EptWalker(vm.target.pages, FEATURES);
    this.#sharedFrom = vm.sharedFrom;
    this.#view = vm.views.at(0);
    this.#viewRoot = this.#mmu.rootOf(this.#view);
    this.#root = this.#mmu.mirror ?? this.#viewRoot;
  }

  use(number: number): void {
    const view = this.#vm.views.at(number);
    if (view.root !== this.#viewRoot) this.#switch(view);
  }

  #switch(view: View): void {
    this.#view = view;
    this.#viewRoot = this.#mmu.rootOf(view);
    this.#root = this.#mmu.mirror ?? this.#viewRoot;
  }

  frame(seeming: Gfn): Gfn {
    return this.#view.target(seeming >= this.#sharedFrom ? seeming - this.#sharedFrom : seeming);
  }

  resolve(seeming: number, want: number): Status {
    const lo = (this.#u32[this.#root.cached(seeming)] as number) | 0;
    const need = want | Spte.Present;
    if ((lo & need) !== need) return this.#miss(seeming, want);
    this.pfn = lo >>> 12;
    this.licence = lo & Ept.Rwx;
    this.gfn = this.#view.target(seeming);
    return Status.Ok;
  }

  /** Nothing remembered, or not what it takes, or shared memory of a guest that has private memory as well. */
  #miss(seeming: number, want: number): Status {
    const shared = seeming >= this.#sharedFrom;
    const root = shared ? this.#viewRoot : this.#root;
    const gfn = shared ? seeming - this.#sharedFrom : seeming;
    const walker = this.#walker;
    const exit = walker.walk(root.table, this.#mmu.levels, gfn, { want });
    // The only entries that are misconfigured are those of MMIO.
    if (exit === EptExit.Misconfiguration) return Status.Mmio;
    if (exit === EptExit.Violation) return this.#violation(root, gfn, want);
    if (walker.level === 1) root.remember(gfn, walker.at);
    this.pfn = walker.pfn;
    this.licence = walker.rights;
    this.gfn = this.#view.target(gfn);
    return Status.Ok;
  }

  #violation(root: TdpRoot, gfn: Gfn, want: number): Status {
    const status = statusOf(this.#fault(root, gfn, want, false));
    if (status !== Status.Ok) return status;
    this.pfn = this.#mmu.pfn;
    this.licence = this.#mmu.licence;
    this.gfn = this.#view.target(gfn);
    return status;
  }

  /** What an access through `root` says about the memory it means. */
  #isPrivate(root: TdpRoot): boolean | undefined {
    return this.#vm.privateMemory === "attributes" ? undefined : root === this.#mmu.mirror;
  }

  #fault(root: TdpRoot, gfn: Gfn, want: number, quiet: boolean): RetPf {
    const isPrivate = this.#isPrivate(root);
    const result = this.#mmu.tryFault({ view: this.#view, gfn, want, isPrivate, quiet });
    this.flags = 0;
    if (result === RetPf.Retry) this.flags = ExitFlag.Retry;
    if (result === RetPf.MemoryFault) this.flags = ExitFlag.Absent;
    if (result !== RetPf.Tracked && isPrivate) this.flags |= ExitFlag.Private;
    return result;
  }

  /** Maps what an access needs, as the processor's fault would. Exit with {@link ExitFlag.Retry} in `flags`: that has to wait. */
  tryFaultIn(number: number, seeming: number, want: number): Status {
    this.use(number);
    const { root, gfn } = this.#faulting(number, seeming);
    return statusOf(this.#fault(root, gfn, want, false));
  }

  /** Waits for what an access needs: after {@link ExitFlag.Retry}. */
  async faultIn(task: Task, number: number, seeming: number, want: number): Promise<Status> {
    const { view, root, gfn } = this.#faulting(number, seeming);
    const isPrivate = this.#isPrivate(root);
    return statusOf(await this.#mmu.fault(task, { view, gfn, want, isPrivate, quiet: false }));
  }

  /** The tree that an access in view `number` goes by, and the frame it means. */
  #faulting(number: number, seeming: number): { view: View; root: TdpRoot; gfn: Gfn } {
    const view = this.#vm.views.at(number);
    const shared = seeming >= this.#sharedFrom;
    const root = shared || this.#mmu.mirror === null ? this.#mmu.rootOf(view) : this.#mmu.mirror;
    return { view, root, gfn: shared ? seeming - this.#sharedFrom : seeming };
  }

  table(seeming: number): number {
    const lo = (this.#u32[this.#root.cached(seeming)] as number) | 0;
    return (lo & Spte.Present) !== 0 ? lo >>> 12 : this.#tableMiss(seeming);
  }

  #tableMiss(seeming: number): number {
    const gfn = this.#view.target(seeming);
    const slot = this.#vm.slots.find(gfn);
    if (slot === null) return -1;
    if (slot.own && slot.pfns[gfn - slot.gfn] === 0 && this.#vm.slots.residency?.has(gfn) !== false) return 0;
    const at = this.#root.find(seeming);
    const lo = this.#u32[at] as number;
    if (isPresent(lo)) {
      if ((lo & Ept.Large) !== 0) return (lo >>> 12) + (seeming % RUN);
      this.#root.remember(seeming, at);
      return lo >>> 12;
    }
    const result = this.#fault(this.#root, seeming, Licence.Read, true);
    if (result === RetPf.Fixed || result === RetPf.Spurious) return this.#mmu.pfn;
    if (result === RetPf.Emulate) return -1;
    this.refused = Status.Exit;
    this.gfn = seeming;
    return -2;
  }

  mayMark(seeming: number): boolean {
    const writable = Spte.Present | Ept.W;
    if (((this.#u32[this.#root.cached(seeming)] as number) & writable) === writable) return true;
    const gfn = this.#view.target(seeming);
    const slot = this.#vm.slots.find(gfn);
    if (slot === null || slot.readonly) return false;
    slot.firstWrites?.mark(gfn - slot.gfn);
    return true;
  }
}

function statusOf(result: RetPf): Status {
  if (result === RetPf.Fixed || result === RetPf.Spurious) return Status.Ok;
  return result === RetPf.Emulate ? Status.Mmio : Status.Exit;
}

import { Errno, type Status, type ViewsPort, type VmPort } from "@vm/kvmi";
import type { Gfn, Gpa } from "@vm/mmu";
import { MemslotError, type Mmu } from "@vm/mmu";
import type { MachineHandle } from "../../plugin.js";
import { ReachableMemory } from "../../reach.js";
import { LIMITS } from "./limits.js";
import { RestrictedPages } from "./pages.js";
import { Quota } from "./quota.js";
import { StepTurns } from "./stepper.js";
import { KvmiVcpu } from "./vcpu.js";

/** Memslots from here on are those of ALLOC_GFN. */
const FIRST_SLOT = 0x4000;
const PAGE = 4096;

/** A machine as introspection sees it. */
export class KvmiVm implements VmPort {
  readonly vcpus: readonly KvmiVcpu[];
  readonly features = { singlestep: true, xsave: true };
  readonly views: ViewsPort;
  readonly #machine: MachineHandle;
  readonly #memory: Mmu;
  readonly #reachable: ReachableMemory;
  /** Restricted pages by view; the views are those that have an entry here. */
  readonly #views = new Map<number, RestrictedPages>();
  /** Numbers of views that were destroyed. */
  readonly #freeViews: number[] = [];
  readonly #restricted = new Quota(LIMITS.restrictedPages);
  /** Slots by the frame that ALLOC_GFN put there. */
  readonly #allocated = new Map<number, number>();
  /** Slots of frames that were freed. */
  readonly #freeSlots: number[] = [];
  readonly #frames = new Quota(LIMITS.changedFrames);
  /** Frames that CHANGE_GFN has changed, by view. */
  readonly #changed = new Map<number, Set<number>>();

  constructor(machine: MachineHandle) {
    const { memory } = machine;
    this.#machine = machine;
    this.#memory = memory;
    this.#reachable = new ReachableMemory(memory);
    this.#views.set(0, new RestrictedPages(memory, 0, this.#restricted));
    const breakpoints = new Quota(LIMITS.codeBreakpoints);
    const steps = new StepTurns(machine.vcpus);
    const pages = (view: number): RestrictedPages => this.#pages(view);
    this.vcpus = machine.vcpus.map((handle) => new KvmiVcpu({ handle, memory, pages, steps, breakpoints }));
    this.views = {
      create: () => this.#createView(),
      destroy: (view) => this.#destroyView(view),
      exists: (view) => this.#views.has(view),
      changeGfn: (view, gfn, target) => this.#changeGfn(view, gfn, target),
    };
  }

  /** Whether a vCPU could execute instructions right now. */
  get busy(): boolean {
    return this.vcpus.some((vcpu) => vcpu.busy);
  }

  maxGfn(): number {
    return Math.max(...this.#memory.memslots.map(({ gpa, size }) => (gpa + size) / PAGE));
  }

  ready(gpa: Gpa, _size: number, retry: () => void): boolean {
    const { residency } = this.#memory;
    const gfn = Math.floor(gpa / PAGE);
    if (residency === null || residency.bring(gfn, 1)) return true;
    // Why it cannot be had is what the access throws then.
    residency.ensure(gfn, 1).then(retry, retry);
    return false;
  }

  readPhysical(gpa: Gpa, out: Uint8Array): boolean {
    return this.#reachable.read(gpa, out);
  }

  writePhysical(gpa: Gpa, data: Uint8Array): boolean {
    return this.#reachable.write(gpa, data);
  }

  setPageAccess(view: number, gfn: Gfn, access: number): Status {
    return this.#pages(view).set(gfn, access) ? 0 : Errno.ENOMEM;
  }

  #pages(view: number): RestrictedPages {
    return this.#views.get(view) ?? (this.#views.get(0) as RestrictedPages);
  }

  #createView(): number | null {
    // View 0 is one of those that are there.
    const view = this.#freeViews.pop() ?? this.#views.size;
    if (view > LIMITS.views) return null;
    this.#views.set(view, new RestrictedPages(this.#memory, view, this.#restricted));
    return view;
  }

  #destroyView(view: number): boolean {
    const pages = this.#views.get(view);
    if (pages === undefined) return false;
    this.#views.delete(view);
    this.#freeViews.push(view);
    pages.forget();
    this.#frames.give(this.#changed.get(view)?.size ?? 0);
    this.#changed.delete(view);
    for (const vcpu of this.vcpus) if (vcpu.view === view) vcpu.view = 0;
    this.#memory.discardView(view);
    return true;
  }

  #changeGfn(view: number, gfn: Gfn, target: number): Status {
    if (target !== gfn && !this.#memory.backed(target * PAGE, 1)) return Errno.EINVAL;
    const changed = this.#changed.get(view) ?? new Set<number>();
    if (target !== gfn && !changed.has(gfn)) {
      if (!this.#frames.take()) return Errno.ENOMEM;
      this.#changed.set(view, changed.add(gfn));
    } else if (target === gfn && changed.delete(gfn)) this.#frames.give();
    this.#memory.remap(gfn, target, view);
    return 0;
  }

  allocGfn(gfn: Gfn): Status {
    if (this.#memory.backed(gfn * PAGE, 1)) return Errno.EINVAL;
    if (this.#memory.availableFrames === 0 || this.#allocated.size === LIMITS.allocatedFrames) return Errno.ENOMEM;
    const slot = this.#freeSlots.pop() ?? FIRST_SLOT + this.#allocated.size;
    try {
      this.#memory.setMemslot({ slot, gpa: gfn * PAGE, size: PAGE });
    } catch (error) {
      if (!(error instanceof MemslotError)) throw error;
      this.#freeSlots.push(slot);
      return Errno.EINVAL;
    }
    this.#allocated.set(gfn, slot);
    return 0;
  }

  freeGfn(gfn: Gfn): Status {
    const slot = this.#allocated.get(gfn);
    if (slot === undefined) return Errno.EINVAL;
    this.#allocated.delete(gfn);
    this.#freeSlots.push(slot);
    this.#memory.setMemslot({ slot, gpa: gfn * PAGE, size: 0 });
    return 0;
  }

  nextAvailableGfn(): number {
    return this.maxGfn();
  }

  reset(): void {
    for (const vcpu of this.vcpus) vcpu.reset();
    for (const view of [...this.#views.keys()]) if (view !== 0) this.#destroyView(view);
    this.#pages(0).reset();
    for (const gfn of [...(this.#changed.get(0) ?? [])]) this.#changeGfn(0, gfn, gfn);
    for (const gfn of [...this.#allocated.keys()]) this.freeGfn(gfn);
    // The next tool has the same numbers as this one had.
    this.#freeViews.length = 0;
    this.#freeSlots.length = 0;
  }

  crash(): void {
    this.#machine.stop();
  }
}

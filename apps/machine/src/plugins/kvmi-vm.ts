import { Errno, type Status, type ViewsPort, type VmPort } from "@vm/kvmi";
import { MemslotError, type Mmu } from "@vm/mmu";
import type { MachineHandle } from "../plugin.js";
import { ReachableMemory } from "../reach.js";
import { RestrictedPages } from "./kvmi-pages.js";
import { StepTurns } from "./kvmi-stepper.js";
import { KvmiVcpu } from "./kvmi-vcpu.js";

/** Memslots from here on are those of ALLOC_GFN. */
const FIRST_SLOT = 0x4000;
const PAGE = 4096;
/** Views have numbers of 16 bits. */
const MAX_VIEW = 0xffff;

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
  readonly #allocated = new Map<number, number>();
  /** Frames that CHANGE_GFN has changed in view 0. */
  readonly #remapped = new Set<number>();

  constructor(machine: MachineHandle) {
    const { memory } = machine;
    this.#machine = machine;
    this.#memory = memory;
    this.#reachable = new ReachableMemory(memory);
    this.#views.set(0, new RestrictedPages(memory, 0));
    const steps = new StepTurns(machine.vcpus);
    const pages = (view: number): RestrictedPages => this.#pages(view);
    this.vcpus = machine.vcpus.map((handle) => new KvmiVcpu({ handle, memory, pages, steps }));
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

  readPhysical(gpa: number, out: Uint8Array): boolean {
    return this.#reachable.read(gpa, out);
  }

  writePhysical(gpa: number, data: Uint8Array): boolean {
    return this.#reachable.write(gpa, data);
  }

  setPageAccess(view: number, gfn: number, access: number): void {
    this.#pages(view).set(gfn, access);
  }

  #pages(view: number): RestrictedPages {
    return this.#views.get(view) ?? (this.#views.get(0) as RestrictedPages);
  }

  #createView(): number | null {
    let view = 1;
    while (this.#views.has(view)) view++;
    if (view > MAX_VIEW) return null;
    this.#views.set(view, new RestrictedPages(this.#memory, view));
    return view;
  }

  #destroyView(view: number): boolean {
    if (!this.#views.delete(view)) return false;
    for (const vcpu of this.vcpus) if (vcpu.view === view) vcpu.view = 0;
    this.#memory.discardView(view);
    return true;
  }

  #changeGfn(view: number, gfn: number, target: number): Status {
    if (target !== gfn && !this.#memory.backed(target * PAGE, 1)) return Errno.EINVAL;
    this.#memory.remap(gfn, target, view);
    if (view === 0) this.#remapped.add(gfn);
    return 0;
  }

  allocGfn(gfn: number): Status {
    if (this.#memory.backed(gfn * PAGE, 1)) return Errno.EINVAL;
    if (this.#memory.availableFrames === 0) return Errno.ENOMEM;
    let slot = FIRST_SLOT;
    while ([...this.#allocated.values()].includes(slot)) slot++;
    try {
      this.#memory.setMemslot({ slot, gpa: gfn * PAGE, size: PAGE });
    } catch (error) {
      if (error instanceof MemslotError) return Errno.EINVAL;
      throw error;
    }
    this.#allocated.set(gfn, slot);
    return 0;
  }

  freeGfn(gfn: number): Status {
    const slot = this.#allocated.get(gfn);
    if (slot === undefined) return Errno.EINVAL;
    this.#allocated.delete(gfn);
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
    for (const gfn of this.#remapped) this.#memory.remap(gfn, gfn);
    this.#remapped.clear();
    for (const gfn of [...this.#allocated.keys()]) this.freeGfn(gfn);
  }

  crash(): void {
    this.#machine.stop();
  }
}

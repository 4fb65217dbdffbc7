import type { PageVerdict } from "@vm/kvmi";
import type { Gfn, Mmu } from "@vm/mmu";
import type { Disposer } from "../../emitter.js";
import { ReachableMemory } from "../../reach.js";
import type { VcpuHandle } from "../../vcpu-handle.js";
import { MemoryOverlay } from "./overlay.js";
import type { RestrictedPages } from "./pages.js";

/** Lets one vCPU at a time step while all the others stand still. */
export class StepTurns {
  readonly #vcpus: readonly VcpuHandle[];
  readonly #waiting: (() => void)[] = [];
  #holds: Disposer[] | null = null;

  constructor(vcpus: readonly VcpuHandle[]) {
    this.#vcpus = vcpus;
  }

  /**
   * Calls `start` when it is the turn of `handle`: perhaps at once. Until then it stands still.
   * @returns the function that gives up a turn that has not come
   */
  take(handle: VcpuHandle, start: () => void): Disposer {
    const release = handle.hold();
    const begin = (): void => {
      this.#holds = this.#vcpus.filter((each) => each !== handle).map((each) => each.hold());
      start();
      release();
    };
    if (this.#holds === null) begin();
    else this.#waiting.push(begin);
    return () => {
      const at = this.#waiting.indexOf(begin);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      release();
    };
  }

  /** The vCPU whose turn it is has stepped. */
  done(): void {
    const holds = this.#holds ?? [];
    this.#holds = null;
    this.#waiting.shift()?.();
    for (const release of holds) release();
  }
}

export interface StepperDesc {
  readonly handle: VcpuHandle;
  readonly memory: Mmu;
  /** Those of the view in use. */
  readonly pages: () => RestrictedPages;
  readonly steps: StepTurns;
}

/** What an instruction on its way over restricted pages has been allowed. */
interface Step {
  readonly ripLo: number;
  readonly ripHi: number;
  readonly pages: Set<number>;
  readonly contexts: NonNullable<PageVerdict["context"]>[];
  repComplete: boolean;
}

/**
 * Lets one instruction touch restricted pages: opens them, has the vCPU execute that instruction alone, and closes them again.
 *
 * An instruction that meets a further page is left undone once more and asked about; it keeps what it was allowed.
 */
export class Stepper {
  readonly #desc: StepperDesc;
  readonly #translate: (gva: bigint) => number | null;
  readonly #overlay: MemoryOverlay;
  #step: Step | null = null;
  /** `postponed`: something else has the vCPU stand still, and the others need not wait for that. */
  #state: "idle" | "waiting" | "active" | "postponed" = "idle";
  /** Gives up the turn that is waited for. */
  #giveUp: Disposer | null = null;
  #inject: Disposer | null = null;
  #opened: RestrictedPages | null = null;

  constructor(desc: StepperDesc, translate: (gva: bigint) => number | null) {
    this.#desc = desc;
    this.#translate = translate;
    this.#overlay = new MemoryOverlay(new ReachableMemory(desc.memory));
  }

  /** An instruction is about to execute, or executes, with pages open. */
  get active(): boolean {
    return this.#state === "active";
  }

  /** Lets the instruction at RIP touch page `gfn`, as soon as it is this vCPU's turn. */
  allow(gfn: Gfn, context: PageVerdict["context"], repComplete: boolean): void {
    const { ripLo, ripHi } = this.#desc.handle.cpu;
    if (this.#step?.ripLo !== ripLo || this.#step.ripHi !== ripHi)
      this.#step = { ripLo, ripHi, pages: new Set(), contexts: [], repComplete: false };
    this.#step.pages.add(gfn);
    this.#step.repComplete ||= repComplete;
    if (context !== null) this.#step.contexts.push(context);
    if (this.#state === "idle" || this.#state === "postponed") this.#await();
  }

  /** The vCPU is to stand still, for as long as a tool likes: pages close, and the others go on. */
  postpone(): void {
    if (this.#state === "active") this.finish();
    else if (this.#state === "waiting") this.#giveUp?.();
    else return;
    this.#state = "postponed";
  }

  /** The vCPU goes on: what was postponed is done, unless its instruction is not what comes next any more. */
  resume(): void {
    if (this.#state !== "postponed") return;
    this.#state = "idle";
    if (this.#isAtStep()) this.#await();
    else this.#step = null;
  }

  #isAtStep(): boolean {
    const { ripLo, ripHi } = this.#desc.handle.cpu;
    return this.#step?.ripLo === ripLo && this.#step.ripHi === ripHi;
  }

  #await(): void {
    this.#state = "waiting";
    this.#giveUp = this.#desc.steps.take(this.#desc.handle, () => this.#start());
  }

  #start(): void {
    const { handle, pages, steps } = this.#desc;
    const step = this.#step;
    this.#state = "active";
    if (step === null) {
      // What it was for is gone.
      this.#state = "idle";
      steps.done();
      return;
    }
    this.#opened = pages();
    this.#opened.open(step.pages);
    for (const { address, data } of step.contexts) this.#show(address, data);
    const { cpu } = handle;
    cpu.shadow = true;
    cpu.singleStep = true;
    // Delivering an event touched the page: that delivery comes first, and is what the pages are open for.
    let delivering = cpu.pending !== null;
    this.#inject = handle.on("inject", () => {
      if (!delivering) {
        this.finish();
        return;
      }
      delivering = false;
      cpu.kick();
      queueMicrotask(() => this.finish());
    });
  }

  /** Data for a linear address, page by page. */
  #show(address: bigint, data: Uint8Array): void {
    for (let at = 0; at < data.length; ) {
      const gva = address + BigInt(at);
      const n = Math.min(data.length - at, 4096 - Number(gva & 0xfffn));
      const gpa = this.#translate(gva);
      if (gpa !== null) this.#overlay.show(gpa, data.subarray(at, at + n));
      at += n;
    }
  }

  /** An instruction has retired. */
  retired(): void {
    if (!this.active) return;
    if (this.#isAtStep() && this.#step?.repComplete) return;
    this.#step = null;
    this.finish();
  }

  /** The instruction leaves once more: it keeps what it was allowed, but the pages close. */
  interrupted(): void {
    this.finish();
  }

  /** Closes the pages. */
  finish(): void {
    if (!this.active) return;
    this.#state = "idle";
    this.#inject?.();
    this.#inject = null;
    this.#overlay.hide();
    this.#opened?.close();
    this.#opened = null;
    this.#desc.steps.done();
  }

  /** The instruction is to start over as if nothing had been allowed. */
  forget(): void {
    this.#step = null;
  }
}

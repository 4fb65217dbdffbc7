import { RunExit } from "../../calls.js";
import * as S from "../../state.js";
import type { Gfn } from "../../units.js";
import type { Activity, RunState, VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import type { Exit } from "../context/exit.js";
import { deliver } from "../events/interrupt.js";
import type { Interrupts } from "../events/interrupts.js";
import type { PendingEvents } from "../events/pending-events.js";
import type { Fetcher } from "../memory/fetch.js";
import type { Misses } from "../memory/misses.js";
import { Vector } from "../registers/constants.js";
import { u64 } from "../registers/u64.js";
import type { CodeGuard } from "./code-guard.js";
import type { GeneratedCode } from "./generated-code.js";

/** DR6: single step. */
const DR6_BS = 0x4000;
/** Faults in a row, without an instruction retired in between, after which `run` returns to its caller. */
const FUTILE_FAULTS = 1024;

const EXIT_BUDGET: Exit = { reason: "budget" };
const EXIT_HLT: Exit = { reason: "hlt" };
const EXIT_SHUTDOWN: Exit = { reason: "shutdown" };
const EXIT_SIPI: Exit = { reason: "wait-for-sipi" };
const EXIT_KICKED: Exit = { reason: "kicked" };
const EXIT_INTERCEPTED: Exit = { reason: "intercepted" };

/** What one instruction of generated code can change. */
interface Checkpoint {
  /** The state block. */
  readonly block: Uint8Array;
  readonly shadow: boolean;
  readonly stackShadow: boolean;
}

/** What the loop runs and asks. */
export interface RunLoopDesc {
  readonly generated: GeneratedCode;
  readonly events: PendingEvents;
  readonly interrupts: Interrupts;
  readonly guard: CodeGuard;
  readonly misses: Misses;
  readonly fetcher: Fetcher;
}

/** Runs generated code in slices, and does between instructions what is due there. */
export class RunLoop {
  readonly #vcpu: VcpuContext & RunState;
  readonly #generated: GeneratedCode;
  readonly #events: PendingEvents;
  readonly #interrupts: Interrupts;
  readonly #guard: CodeGuard;
  readonly #misses: Misses;
  readonly #fetcher: Fetcher;
  /** `run` has been called and has not returned. */
  running = false;
  #exit: Exit | null = null;
  #kicked = false;
  /** The next instruction is executed by itself, and can be undone. */
  #repeats = false;
  /** What the running instruction, alone in its slice, can be undone with. */
  #checkpoint: Checkpoint | null = null;
  /** A single-step trap follows the instruction. */
  #traced = false;
  /** Instructions retired since reset, without the current slice. */
  #retired = 0;

  constructor(vcpu: VcpuContext & RunState, desc: RunLoopDesc) {
    this.#vcpu = vcpu;
    this.#generated = desc.generated;
    this.#events = desc.events;
    this.#interrupts = desc.interrupts;
    this.#guard = desc.guard;
    this.#misses = desc.misses;
    this.#fetcher = desc.fetcher;
  }

  get retired(): number {
    return this.#retired + this.#vcpu.i32(S.SLICE) - this.#vcpu.i32(S.BUDGET);
  }

  /** Goes on after `retired` instructions. Nothing of a run that was left half-way stays. */
  restore(retired: number): void {
    this.#retired = retired;
    this.#repeats = false;
    this.#misses.discard();
  }

  #is(activity: Activity): boolean {
    return this.#vcpu.activity === activity;
  }

  kick(): void {
    this.#kicked = true;
    this.#vcpu.endSlice();
  }

  run(budget: number): Exit {
    this.running = true;
    try {
      return this.#run(budget);
    } finally {
      this.running = false;
    }
  }

  #run(budget: number): Exit {
    const vcpu = this.#vcpu;
    if (this.#is("wait-for-sipi")) return EXIT_SIPI;
    if (this.#is("shutdown")) return EXIT_SHUTDOWN;
    // Else the interrupt itself ends the halt, when it is taken.
    if (this.#is("hlt") && this.#interrupts.wakeMasked && this.#interrupts.wakes) vcpu.activity = "active";
    this.#kicked = false;
    this.#exit = null;
    this.#generated.compile();
    let left = budget;
    // A handler that faults at its own first instruction retires nothing: the host gets its turn all the same.
    for (let futile = 0; left > 0 && futile < FUTILE_FAULTS; ) {
      this.#generated.called();
      if (this.#events.pending !== null) this.#deliverPending();
      else if (!vcpu.shadow) this.#takeInterrupt();
      if (this.#is("shutdown")) return EXIT_SHUTDOWN;
      if (this.#exit !== null) return this.#exit;
      let done = 0;
      // Delivery itself may have met data breakpoints.
      if (!this.#events.raiseNotedDebug()) {
        // Before anything else: who halts is not run again, and would never be said to have halted.
        if (this.#is("hlt")) return EXIT_HLT;
        if (this.#kicked) return EXIT_KICKED;
        if (this.#guard.admits(this.#fetcher)) done = this.#slice(left);
      }
      left -= done;
      futile = done > 0 ? 0 : futile + 1;
      if (this.#exit !== null) return this.#exit;
      if (this.#kicked && !this.#is("hlt")) return EXIT_KICKED;
    }
    if (this.#events.pending !== null) this.#deliverPending();
    return this.#is("shutdown") ? EXIT_SHUTDOWN : (this.#exit ?? EXIT_BUDGET);
  }

  /** Executes up to `left` instructions, one where each must be looked after. @returns how many retired */
  #slice(left: number): number {
    const vcpu = this.#vcpu;
    const events = this.#events;
    const resumed = (vcpu.flags & S.RF) !== 0;
    const alone = vcpu.shadow || vcpu.singleStep || this.#guard.active || this.#repeats || resumed || vcpu.flags & S.TF;
    const slice = alone ? 1 : left;
    this.#checkpoint = this.#repeats ? this.#save() : null;
    this.#repeats = false;
    vcpu.shadow = false;
    events.stackShadow = false;
    vcpu.setI32(S.STI_LEFT, -1);
    vcpu.keepRf = false;
    this.traceByFlags();
    let outcome = this.#generate(slice);
    // A kick that came in front of an instruction of which observers have been told takes effect behind it.
    if (this.#guard.active && this.#kicked && outcome === RunExit.Budget && vcpu.i32(S.SLICE) === 0)
      outcome = this.#generate(slice);
    let done = vcpu.i32(S.SLICE) - vcpu.i32(S.BUDGET);
    vcpu.setI32(S.SLICE, 0);
    vcpu.setI32(S.BUDGET, 0);
    this.#retired += done;
    vcpu.loadRip();
    if (outcome === RunExit.Fault) this.#faulted();
    else if (!this.#misses.finish() && this.#checkpoint !== null) {
      this.#undo(this.#checkpoint);
      done = 0;
    } else if (vcpu.i32(S.STI_LEFT) === 0) vcpu.shadow = true;
    this.#checkpoint = null;
    vcpu.setI32(S.REC, 0);
    if (done > 0) {
      if (resumed && !vcpu.keepRf) vcpu.setI32(S.FLAGS, vcpu.flags & ~S.RF);
      if (this.#traced && !events.stackShadow) events.noteDebug(DR6_BS);
      events.raiseNotedDebug();
      if (vcpu.singleStep) vcpu.hooks.singleStep?.();
    }
    return done;
  }

  /** Enters generated code for so many instructions. */
  #generate(slice: number): RunExit {
    const vcpu = this.#vcpu;
    vcpu.setI32(S.SLICE, slice);
    vcpu.setI32(S.BUDGET, slice);
    return this.#generated.run();
  }

  /** The instruction at PC could not be executed. */
  #faulted(): void {
    const vcpu = this.#vcpu;
    this.#misses.discard();
    this.#events.discardDebug();
    if (this.#repeats) return;
    if (this.#events.pending === null && this.#exit === null) {
      this.#fetcher.raiseFetchFault(vcpu.i32(S.PC), vcpu.i32(S.PC + 4));
    } else if (this.#events.nonCanonical && this.#generated.onStack) vcpu.raiseError(Vector.SS, 0);
  }

  get undoable(): boolean {
    return this.#checkpoint !== null;
  }

  repeatUndoable(): void {
    this.#repeats = true;
  }

  #save(): Checkpoint {
    const { base, memory, shadow } = this.#vcpu;
    return { block: memory.slice(base, base + S.STATE_SIZE), shadow, stackShadow: this.#events.stackShadow };
  }

  /** The instruction that has just retired has not. */
  #undo({ block, shadow, stackShadow }: Checkpoint): void {
    const vcpu = this.#vcpu;
    vcpu.memory.set(block, vcpu.base);
    // What came meanwhile is looked for again.
    vcpu.setI32(S.INTR_PENDING, 1);
    vcpu.shadow = shadow;
    this.#events.stackShadow = stackShadow;
    this.#events.discardDebug();
    this.#retired--;
    vcpu.loadRip();
  }

  // Events

  /** Delivers a waiting NMI or interrupt if the flags allow. */
  #takeInterrupt(): void {
    const event = this.#interrupts.take();
    if (event !== null) this.#deliver(event);
  }

  #deliverPending(): void {
    const pending = this.#events.take() as Pending;
    this.#vcpu.counts[pending.kind === "interrupt" ? "interrupts" : "faults"]++;
    this.#deliver(pending);
  }

  #deliver(event: Pending): void {
    this.#vcpu.activity = "active";
    this.#vcpu.loadRip();
    if (!deliver(this.#vcpu, event)) this.#vcpu.activity = "shutdown";
  }

  deliverSoftware(event: Pending, at: readonly [number, number]): boolean {
    const vcpu = this.#vcpu;
    if (deliver(vcpu, event, at)) {
      if (this.#events.pending === null) return !this.leaving;
      // Noted for later; the instruction is done.
      vcpu.endSlice();
      return true;
    }
    vcpu.activity = "shutdown";
    vcpu.endSlice();
    return true;
  }

  // Leaving

  withheld(gfn: Gfn, access: number, lo: number, hi: number): boolean {
    const again = this.#vcpu.hooks.pageAccess?.(gfn, access, u64(lo, hi)) === true;
    if (this.#events.pending !== null) return false;
    if (again && this.#exit === null) return true;
    this.#exit ??= { reason: "memory-fault", gfn, access };
    return false;
  }

  leave(): false {
    this.#exit = EXIT_INTERCEPTED;
    return false;
  }

  get leaving(): boolean {
    return this.#exit !== null;
  }

  // What instructions change of how the next ones run

  holdInterrupts(): void {
    this.#vcpu.shadow = true;
    this.#events.stackShadow = true;
    this.#vcpu.endSlice();
  }

  flagsChanged(): void {
    const vcpu = this.#vcpu;
    vcpu.updateAccess();
    if (vcpu.flags & (S.TF | S.RF) || (vcpu.flags & S.IF && vcpu.i32(S.INTR_PENDING) !== 0)) vcpu.endSlice();
  }

  traceByFlags(): void {
    this.#traced = (this.#vcpu.flags & S.TF) !== 0;
  }

  startedTask(): void {
    const vcpu = this.#vcpu;
    this.#traced = false;
    vcpu.keepRf = (vcpu.flags & S.RF) !== 0;
    this.flagsChanged();
    vcpu.endSlice();
  }
}

import type { Exit, Vcpu } from "@vm/cpu";
import type { Disposer } from "./emitter.js";
import { isCutShort, isWait, type MachineExit, type VcpuExit } from "./exit.js";
import { type RunLoopDesc, type RunLoopState, readRunLoop, SHARED_SLICE, SLICE, type Slice } from "./run-loop-desc.js";
import { RunQueue } from "./run-queue.js";
import { MAX_SLEEP_MS, Sleeper } from "./sleep.js";
import { Stops } from "./stops.js";
import { turn } from "./turn.js";
import type { VcpuState } from "./vcpu-handle.js";

/** The same after one processor has signalled another: they wait for each other. It doubles with every slice without a signal. */
const TALKING_SLICE = 500;
const MIN_SLICE = 1000;
/** Host time after which the event loop gets a turn, ms. */
const TURN_MS = 10;
/** The same while devices are at work, so that what the host has done for them reaches a busy guest soon. */
const DEVICE_TURN_MS = 1;

/**
 * Runs the processors of a machine in slices, round-robin on this thread, fires the clock's timers between slices and gives the
 * event loop its turns. Slices end where the next timer is due: exactly in `icount`, about then in `host`. A slice in which the guest makes
 * each instruction as dear as it can is cut when the event loop is due its turn; in `icount` it goes on behind it as if nothing had been.
 */
export class RunLoop {
  readonly #desc: RunLoopDesc;
  readonly #enter: NonNullable<RunLoopDesc["enter"]>;
  #end: MachineExit | null = null;
  #running: Vcpu | null = null;
  #retiredBefore = 0;
  /** Time of the timer for which the running slice was made to end. */
  #sliceTimer = Number.POSITIVE_INFINITY;
  /** The running slice must end, whatever else. */
  #sliceEnds = false;
  /** What is left of a slice that was cut for a turn of the event loop. */
  #cut: Slice | null = null;
  /** When the event loop had its last turn, ms. */
  #turned = 0;
  readonly #queue: RunQueue;
  #sharedSlice = SHARED_SLICE;
  #nsPerInstruction = 50;
  #paused = false;
  #started = false;
  readonly #stops = new Stops();
  #wake: (() => void) | null = null;
  readonly #sleeper = new Sleeper();
  readonly #atRest: (() => void)[] = [];
  readonly #attentive = new Set<{ readonly ms: number }>();
  /** Host time spent executing guest instructions, ms. */
  executingMs = 0;

  constructor(desc: RunLoopDesc) {
    this.#desc = desc;
    const { clock, backlog, enter = (vcpu, budget) => vcpu.run(budget) } = desc;
    this.#enter = enter;
    this.#queue = new RunQueue(desc.vcpus);
    backlog.onWork(() => this.#interrupt());
    clock.inSlice = () => (this.#running === null ? 0 : this.#running.retired - this.#retiredBefore);
    clock.onSchedule(() => {
      if (clock.next < this.#sliceTimer) this.#interrupt();
    });
    clock.onReconsider(() => {
      this.#cut = null;
      this.#interrupt();
    });
    clock.pause();
  }

  /** How the machine ended, null while it has not. */
  get ended(): MachineExit | null {
    return this.#end;
  }

  /** What `vcpu` is about. */
  state(vcpu: Vcpu): VcpuState {
    if (this.#end !== null) return "finished";
    if (this.#paused || !this.#started) return "paused";
    if (this.#queue.keeps(vcpu)) return "held";
    if (vcpu.runnable) return "running";
    return vcpu.activity === "wait-for-sipi" || vcpu.activity === "shutdown" ? vcpu.activity : "halted";
  }

  /** Ends the machine at the next instruction boundary. The first reason stays. */
  end(exit: MachineExit): void {
    this.#end ??= exit;
    this.#interrupt();
  }

  /** Something waits for `vcpu`. */
  attend(vcpu: Vcpu): void {
    if (this.#running === vcpu) return;
    if (this.#running !== null) this.#sharedSlice = TALKING_SLICE;
    this.#interrupt();
  }

  /** Keeps `vcpu` from running until every holder has let go. */
  hold(vcpu: Vcpu): Disposer {
    const release = this.#queue.keep(vcpu, () => this.#wake?.());
    if (this.#running === vcpu) this.#interrupt();
    return release;
  }

  /** To be called now and then while a processor runs: ends its slice if the event loop is due its turn. */
  look(): void {
    if (performance.now() - this.#turned >= this.#turnMs) this.#running?.kick();
  }

  #interrupt(): void {
    this.#sliceEnds = true;
    this.#running?.kick();
    this.#wake?.();
  }

  /** Turns of the event loop come at least every `ms`. */
  attentive(ms: number): () => void {
    const wish = { ms };
    this.#attentive.add(wish);
    return () => void this.#attentive.delete(wish);
  }

  get #turnMs(): number {
    let turnMs = this.#desc.backlog.busy ? DEVICE_TURN_MS : TURN_MS;
    for (const { ms } of this.#attentive) turnMs = Math.min(turnMs, ms);
    return turnMs;
  }

  /** Stops at an instruction boundary; resolves when nothing runs any more. Virtual time stands still. */
  pause(): Promise<void> {
    this.#paused = true;
    if (!this.#started || this.#end !== null) return Promise.resolve();
    return new Promise((resolve) => {
      this.#atRest.push(resolve);
      this.#interrupt();
    });
  }

  resume(): void {
    this.#paused = false;
    this.#wake?.();
  }

  /** See `VirtualMachine.stopAt`. A slice that is cut goes on behind it. */
  stopAt(at: number, reached: () => Promise<void>): void {
    this.#stops.add({ at, reached });
    if (this.#running !== null && this.#desc.clock.mode === "host") this.#running.kick();
    this.#wake?.();
  }

  /** As the loop is between two slices. */
  save(): RunLoopState {
    const { vcpus } = this.#desc;
    const cut = this.#cut === null ? null : { vcpu: vcpus.indexOf(this.#cut.vcpu), budget: this.#cut.budget };
    return { next: this.#queue.save(), sharedSlice: this.#sharedSlice, cut };
  }

  /** Before {@link run}. @throws {StateError} */
  restore(state: RunLoopState): void {
    const { next, sharedSlice, cut } = readRunLoop(this.#desc.vcpus.length)(state);
    this.#queue.restore(next);
    this.#sharedSlice = sharedSlice;
    const vcpu = this.#desc.vcpus[cut?.vcpu ?? -1];
    this.#cut = cut === null || vcpu === undefined ? null : { vcpu, budget: cut.budget, left: false };
  }

  /** Instructions until the guest is to stand still, or Infinity. */
  get #untilStop(): number {
    return this.#stops.at - this.#desc.clock.retired;
  }

  /** A stop is due, once devices have done what they are about. */
  async #standStill(): Promise<void> {
    const { clock, backlog } = this.#desc;
    clock.pause();
    this.#guard(null, () => backlog.step());
    if (backlog.busy) await this.#wait();
    else await this.#stops.reach().catch((error: unknown) => this.end({ reason: "internal-error", vcpu: null, error }));
    if (!this.#paused) clock.resume();
  }

  /** Runs until the machine ends. */
  async run(): Promise<MachineExit> {
    const { clock, backlog } = this.#desc;
    this.#started = true;
    clock.resume();
    this.#turned = performance.now();
    while (this.#end === null) {
      if (this.#paused) {
        await (this.#untilStop <= 0 ? this.#standStill() : this.#rest());
        continue;
      }
      this.#guard(null, () => clock.fire());
      this.#guard(null, () => backlog.step());
      if (this.#end !== null) break;
      if (this.#untilStop <= 0 && !backlog.busy) {
        await this.#standStill();
        continue;
      }
      const waiting = (clock.mode === "icount" || this.#untilStop <= 0) && backlog.busy;
      const next = waiting ? null : this.#next();
      if (waiting) await this.#wait();
      else if (next === null) await this.#idle();
      else this.#leave(next.vcpu, this.#slice(next));
      if (performance.now() - this.#turned < this.#turnMs) continue;
      await turn();
      this.#turned = performance.now();
    }
    clock.pause();
    this.#settle();
    return this.#end;
  }

  #next(): Slice | null {
    const cut = this.#cut;
    // How long someone keeps it is the host's affair.
    if (cut !== null && this.#queue.keeps(cut.vcpu) && (cut.left || !this.#queue.contended(cut.vcpu))) return null;
    this.#cut = null;
    if (cut !== null && this.#queue.ready(cut.vcpu)) return cut;
    const vcpu = this.#queue.pick();
    return vcpu === null ? null : { vcpu, budget: this.#budget(vcpu), left: false };
  }

  /** Instructions of the next slice of `vcpu`. */
  #budget(vcpu: Vcpu): number {
    const { clock } = this.#desc;
    const most = this.#queue.contended(vcpu) ? this.#sharedSlice : SLICE;
    this.#sharedSlice = Math.min(2 * this.#sharedSlice, SHARED_SLICE);
    const until = clock.untilNext;
    const hostNs = Math.min(until, this.#turnMs * 1e6);
    const wanted = clock.mode === "icount" ? until : Math.max(MIN_SLICE, hostNs / this.#nsPerInstruction);
    return Math.max(1, Math.floor(Math.min(most, wanted)));
  }

  #slice({ vcpu, budget: whole }: Slice): Exit | null {
    const { clock } = this.#desc;
    const budget = Math.min(whole, this.#untilStop);
    this.#sliceTimer = clock.next;
    this.#sliceEnds = false;
    this.#retiredBefore = vcpu.retired;
    this.#running = vcpu;
    const began = performance.now();
    const exit = this.#guard(vcpu, () => this.#enter(vcpu, budget, () => this.#sliceEnds));
    const ms = performance.now() - began;
    const retired = vcpu.retired - this.#retiredBefore;
    this.#running = null;
    this.#sliceTimer = Number.POSITIVE_INFINITY;
    clock.advance(retired);
    this.executingMs += ms;
    if (retired >= MIN_SLICE) this.#nsPerInstruction += ((ms * 1e6) / retired - this.#nsPerInstruction) / 8;
    // Which processor is next, and when what the guest has written is seen, must not depend on how fast the host is.
    const isCut = isCutShort(exit, budget < whole);
    if (clock.mode === "icount" && isCut && !this.#sliceEnds && retired < whole)
      this.#cut = { vcpu, budget: whole - retired, left: exit?.reason === "intercepted" };
    else {
      this.#settle();
      this.#desc.forward.busy();
    }
    return exit;
  }

  /** Acts on why `vcpu` returned; null if it did not. */
  #leave(vcpu: Vcpu, exit: Exit | null): void {
    if (exit === null || exit.reason === "budget" || exit.reason === "kicked") return;
    const answer = this.#guard(vcpu, () => this.#desc.onExit(exit, vcpu));
    if (typeof answer === "boolean") this.#answered(vcpu, exit, answer);
    else if (answer !== null) this.#await(vcpu, exit, answer);
  }

  /** Keeps `vcpu` until it is known what its exit comes to. The others go on, unless time is counted: it must not depend on the host's. */
  #await(vcpu: Vcpu, exit: VcpuExit, answer: Promise<boolean>): void {
    const release = this.hold(vcpu);
    const known = answer
      .then(
        (handled) => this.#answered(vcpu, exit, handled),
        (error: unknown) => this.end({ reason: "internal-error", vcpu: vcpu.id, error }),
      )
      .finally(release);
    const { clock, backlog } = this.#desc;
    if (clock.mode === "icount") void known.finally(backlog.begin());
  }

  #answered(vcpu: Vcpu, exit: VcpuExit, handled: boolean): void {
    if (handled || exit.reason === "intercepted") return;
    if (exit.reason === "shutdown") this.end({ reason: "shutdown", vcpu: vcpu.id });
    else if (exit.reason === "memory-fault") this.end({ ...exit, vcpu: vcpu.id });
  }

  /** Nothing can run: waits for the next timer, or for input. */
  #idle(): Promise<void> | void {
    const { clock, forward, backlog, awaits } = this.#desc;
    if (backlog.ready) return;
    const { next } = clock;
    const held = this.#queue.keeping || awaits?.() === true;
    if (next === Number.POSITIVE_INFINITY && this.#queue.isDead && !held && !backlog.busy)
      return this.end({ reason: "halted" });
    // While someone holds a processor, counted time stands still: how long that takes is the host's affair.
    if (clock.mode === "icount" && held) return this.#sleep(MAX_SLEEP_MS);
    // A jump does not hurry what waits for the host, or the guest would have waited for hours.
    if (!held && !backlog.busy && forward.idle()) return;
    const until = clock.untilNext;
    if (clock.mode === "icount" && until !== Number.POSITIVE_INFINITY) {
      clock.skipTo(next);
      return;
    }
    this.#sliceTimer = next;
    return this.#sleep(until / 1e6);
  }

  /** Nothing happens in the guest, virtual time included, until the host has done what was asked of it. */
  #wait(): Promise<void> | void {
    return this.#desc.backlog.ready ? undefined : this.#sleep(MAX_SLEEP_MS);
  }

  async #rest(): Promise<void> {
    this.#desc.clock.pause();
    this.#settle();
    for (const resolve of this.#atRest.splice(0)) resolve();
    await this.#sleep(MAX_SLEEP_MS);
    if (!this.#paused) this.#desc.clock.resume();
  }

  /** Sleeps at most `ms`, less if something wakes the loop. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#wake = null;
        this.#sliceTimer = Number.POSITIVE_INFINITY;
        resolve();
      };
      const cancel = this.#sleeper.start(ms, done);
      this.#wake = done;
    });
  }

  #settle(): void {
    this.#guard(null, this.#desc.settle);
    if (this.#end !== null) for (const resolve of this.#atRest.splice(0)) resolve();
  }

  /** What hooks, devices and listeners throw ends the machine, not the program around it. */
  #guard<T>(vcpu: Vcpu | null, work: () => T): T | null {
    try {
      return work();
    } catch (error) {
      this.end({ reason: "internal-error", vcpu: vcpu?.id ?? null, error });
      return null;
    }
  }
}

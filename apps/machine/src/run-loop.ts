import type { Exit, Vcpu } from "@vm/cpu";
import type { Backlog } from "./backlog.js";
import type { VirtualClock } from "./clock.js";
import type { MachineExit, VcpuExit } from "./exit.js";
import { turn } from "./turn.js";

export interface RunLoopDesc {
  readonly clock: VirtualClock;
  readonly vcpus: readonly Vcpu[];
  /** What devices do between two slices; in `icount` the guest stands still until all of it is done. */
  readonly backlog: Backlog;
  /** Called after every slice and when the loop comes to rest. */
  readonly settle: () => void;
  /** A processor left the guest. True: run on as if nothing had happened. */
  readonly onExit: (exit: VcpuExit, vcpu: Vcpu) => boolean | Promise<boolean>;
}

/** Instructions of a slice. Bounded because an engine compiles a loop better once it is entered again. */
const SLICE = 100_000;
/** The same where several processors want to run: one that waits for another must not wait long. */
const SHARED_SLICE = 20_000;
/** The same after one processor has signalled another: they wait for each other. It doubles with every slice without a signal. */
const TALKING_SLICE = 500;
const MIN_SLICE = 1000;
/** Host time after which the event loop gets a turn, ms. */
const TURN_MS = 10;
/** The same while devices are at work, so that what the host has done for them reaches a busy guest soon. */
const DEVICE_TURN_MS = 1;
/** Longest sleep of a timer of the host, ms; it also keeps a process alive that waits for nothing else. */
const MAX_SLEEP_MS = 2 ** 30;
const RFLAGS_IF = 0x200;

/**
 * Runs the processors of a machine in slices, round-robin on this thread, fires the clock's timers between slices and gives the
 * event loop its turns. Slices end where the next timer is due: exactly in `icount`, about then in `host`, where they also end when the
 * event loop is due its turn.
 */
export class RunLoop {
  readonly #desc: RunLoopDesc;
  #end: MachineExit | null = null;
  #running: Vcpu | null = null;
  #retiredBefore = 0;
  /** Time of the timer for which the running slice was made to end. */
  #sliceTimer = Number.POSITIVE_INFINITY;
  #turnOf = 0;
  #sharedSlice = SHARED_SLICE;
  #nsPerInstruction = 50;
  #paused = false;
  #started = false;
  #wake: (() => void) | null = null;
  readonly #atRest: (() => void)[] = [];
  /** How many hold each processor that is held. */
  readonly #held = new Map<Vcpu, number>();
  readonly #attentive = new Set<{ readonly ms: number }>();
  /** Host time spent executing guest instructions, ms. */
  executingMs = 0;

  constructor(desc: RunLoopDesc) {
    this.#desc = desc;
    const { clock, backlog } = desc;
    backlog.onWork(() => {
      this.#running?.kick();
      this.#wake?.();
    });
    clock.inSlice = () => (this.#running === null ? 0 : this.#running.retired - this.#retiredBefore);
    clock.onSchedule(() => {
      if (clock.next >= this.#sliceTimer) return;
      this.#running?.kick();
      this.#wake?.();
    });
    clock.pause();
  }

  /** How the machine ended, null while it has not. */
  get ended(): MachineExit | null {
    return this.#end;
  }

  /** Ends the machine at the next instruction boundary. The first reason stays. */
  end(exit: MachineExit): void {
    this.#end ??= exit;
    this.#running?.kick();
    this.#wake?.();
  }

  /** Something waits for `vcpu`. */
  attend(vcpu: Vcpu): void {
    if (this.#running === null) this.#wake?.();
    else if (this.#running !== vcpu) {
      this.#sharedSlice = TALKING_SLICE;
      this.#running.kick();
    }
  }

  /** Keeps `vcpu` from running until every holder has let go. */
  hold(vcpu: Vcpu): () => void {
    this.#held.set(vcpu, (this.#held.get(vcpu) ?? 0) + 1);
    if (this.#running === vcpu) vcpu.kick();
    let holding = true;
    return () => {
      if (!holding) return;
      holding = false;
      const left = (this.#held.get(vcpu) ?? 1) - 1;
      if (left > 0) this.#held.set(vcpu, left);
      else {
        this.#held.delete(vcpu);
        this.#wake?.();
      }
    };
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
    this.#running?.kick();
    return new Promise((resolve) => {
      this.#atRest.push(resolve);
      this.#wake?.();
    });
  }

  resume(): void {
    this.#paused = false;
    this.#wake?.();
  }

  /** Runs until the machine ends. */
  async run(): Promise<MachineExit> {
    const { clock, backlog } = this.#desc;
    this.#started = true;
    clock.resume();
    let turned = performance.now();
    while (this.#end === null) {
      if (this.#paused) {
        await this.#rest();
        continue;
      }
      this.#guard(null, () => clock.fire());
      this.#guard(null, () => backlog.step());
      if (this.#end !== null) break;
      const waiting = clock.mode === "icount" && backlog.busy;
      const vcpu = waiting ? null : this.#pick();
      if (waiting) await this.#awaitDevices();
      else if (vcpu === null) await this.#idle();
      else await this.#leave(vcpu, this.#slice(vcpu));
      if (performance.now() - turned < this.#turnMs) continue;
      await turn();
      turned = performance.now();
    }
    clock.pause();
    this.#settle();
    return this.#end;
  }

  /** The next processor in turn that can run. */
  #pick(): Vcpu | null {
    const { vcpus } = this.#desc;
    for (let k = 0; k < vcpus.length; k++) {
      const vcpu = vcpus[(this.#turnOf + k) % vcpus.length] as Vcpu;
      if (!this.#ready(vcpu)) continue;
      this.#turnOf = (vcpu.id + 1) % vcpus.length;
      return vcpu;
    }
    return null;
  }

  #ready(vcpu: Vcpu): boolean {
    return vcpu.runnable && !this.#held.has(vcpu);
  }

  #slice(vcpu: Vcpu): Exit | null {
    const { clock, vcpus } = this.#desc;
    const shared = vcpus.some((other) => other !== vcpu && this.#ready(other));
    const most = shared ? this.#sharedSlice : SLICE;
    this.#sharedSlice = Math.min(2 * this.#sharedSlice, SHARED_SLICE);
    this.#sliceTimer = clock.next;
    const ns = this.#sliceTimer - clock.now();
    const hostNs = Math.min(ns, this.#turnMs * 1e6);
    const wanted = clock.mode === "icount" ? ns : Math.max(MIN_SLICE, hostNs / this.#nsPerInstruction);
    const budget = Math.max(1, Math.floor(Math.min(most, wanted)));

    this.#retiredBefore = vcpu.retired;
    this.#running = vcpu;
    const began = performance.now();
    const exit = this.#guard(vcpu, () => vcpu.run(budget));
    const ms = performance.now() - began;
    const retired = vcpu.retired - this.#retiredBefore;
    this.#running = null;
    this.#sliceTimer = Number.POSITIVE_INFINITY;
    clock.advance(retired);
    this.executingMs += ms;
    if (retired >= MIN_SLICE) this.#nsPerInstruction += ((ms * 1e6) / retired - this.#nsPerInstruction) / 8;
    this.#settle();
    return exit;
  }

  /** Acts on why `vcpu` returned; null if it did not. */
  async #leave(vcpu: Vcpu, exit: Exit | null): Promise<void> {
    if (exit === null || exit.reason === "budget" || exit.reason === "kicked") return;
    try {
      if (await this.#desc.onExit(exit, vcpu)) return;
    } catch (error) {
      this.end({ reason: "internal-error", vcpu: vcpu.id, error });
    }
    if (exit.reason === "intercepted") return;
    if (exit.reason === "shutdown") this.end({ reason: "shutdown", vcpu: vcpu.id });
    else if (exit.reason === "memory-fault") this.end({ ...exit, vcpu: vcpu.id });
  }

  /** Nothing can run: waits for the next timer, or for input. */
  #idle(): Promise<void> | void {
    const { clock, vcpus, backlog } = this.#desc;
    if (backlog.ready) return;
    const { next } = clock;
    const held = this.#held.size > 0;
    if (next === Number.POSITIVE_INFINITY && vcpus.every(isDead) && !held && !backlog.busy) {
      this.end({ reason: "halted" });
      return;
    }
    // While someone holds a processor, counted time stands still: how long that takes is the host's affair.
    if (clock.mode === "icount" && held) return this.#sleep(MAX_SLEEP_MS);
    if (clock.mode === "icount" && next !== Number.POSITIVE_INFINITY) {
      clock.skipTo(next);
      return;
    }
    this.#sliceTimer = next;
    return this.#sleep(Math.ceil((next - clock.now()) / 1e6));
  }

  /** Nothing happens in the guest until the host has done what a device asked of it. */
  #awaitDevices(): Promise<void> | void {
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
        clearTimeout(timer);
        this.#wake = null;
        this.#sliceTimer = Number.POSITIVE_INFINITY;
        resolve();
      };
      const timer = setTimeout(done, Math.min(Math.max(ms, 0), MAX_SLEEP_MS));
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

/** Nothing short of an NMI will wake it. */
function isDead(vcpu: Vcpu): boolean {
  return vcpu.waitForSipi || (vcpu.halted && (vcpu.flags & RFLAGS_IF) === 0);
}

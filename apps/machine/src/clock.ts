import { type Clock, read } from "@vm/devices";
import { MAX_TIME, VmClock, type VmClockDesc, type VmClockState } from "@vm/vdso-timens";
import { part } from "./state-part.js";
import { type Timer, TimerQueue } from "./timer-queue.js";

export type { Timer };

/** Where `performance` is a getter, it is one that takes as long as reading the clock. */
const timer = performance;

/** `host`: virtual time follows the host's. `icount`: one retired instruction is one nanosecond; idle time is skipped. */
export type ClockMode = "host" | "icount";

/** How time starts, and how fast it goes; see {@link VmClock}. */
export interface VirtualClockDesc extends Omit<VmClockDesc, "source"> {
  /** Monotonic host time in ms. */
  readonly hostNow?: () => number;
}

export interface VirtualClockState {
  /** Instructions, of all processors together. */
  readonly retired: number;
  readonly time: VmClockState;
}

/** Instructions that no machine has retired; counting on from there is exact. */
export const MAX_RETIRED = 2 ** 52;

const readClock = read.record<VirtualClockState>({
  retired: read.integer(0, MAX_RETIRED),
  time: (value) => value as VmClockState,
});

/** The virtual clock that drives every device of a machine. Times in ns since the machine was made. */
export class VirtualClock {
  readonly mode: ClockMode;
  /** Time itself. Whoever makes it go otherwise than it did calls {@link reconsider}. */
  readonly time: VmClock;
  readonly #queue = new TimerQueue();
  /** Host time that does not count (pauses), ms. */
  #paused = 0;
  #pausedAt: number | null = null;
  readonly #hostNow: () => number;
  readonly #origin: number;
  /** Instructions retired before the slice that is being executed. */
  #retired = 0;
  /** Instructions retired in the slice that is being executed. */
  inSlice: () => number = () => 0;

  constructor(mode: ClockMode, { hostNow = () => timer.now(), ...start }: VirtualClockDesc = {}) {
    this.mode = mode;
    this.#hostNow = hostNow;
    this.#origin = hostNow();
    this.time = new VmClock({ source: () => this.#source(), ...start });
  }

  now(): number {
    return this.time.at(this.#source());
  }

  /** What time is made of: instructions, or ns of the host. */
  #source(): number {
    if (this.mode === "icount") return this.#retired + this.inSlice();
    return ((this.#pausedAt ?? this.#hostNow()) - this.#origin - this.#paused) * 1e6;
  }

  /** The slice retired `instructions`. */
  advance(instructions: number): void {
    this.#retired += instructions;
  }

  /** Instructions retired before the running slice. */
  get retired(): number {
    return this.#retired;
  }

  /** `icount`: nothing runs until `at`. */
  skipTo(at: number): void {
    if (this.mode === "icount") this.time.jumpTo(at);
  }

  /** Stops virtual time while the machine is paused (`host`; `icount` stands still by itself). */
  pause(): void {
    this.#pausedAt ??= this.#hostNow();
  }

  resume(): void {
    if (this.#pausedAt === null) return;
    this.#paused += this.#hostNow() - this.#pausedAt;
    this.#pausedAt = null;
  }

  /** To be called when deadlines no longer are as far away as they were. */
  reconsider(): void {
    this.#onReconsider();
  }

  /** Called when what runs until a deadline must look again how far that is. */
  onReconsider(listener: () => void): void {
    this.#onReconsider = listener;
  }
  #onReconsider: () => void = () => undefined;

  schedule(at: number, fn: () => void, rank = 0): Timer {
    const timer = this.#queue.add(at, fn, rank);
    this.#onSchedule();
    return timer;
  }

  /**
   * The clock for one device: its timers come before those that another has for the same time if its rank is lower, whichever was set first. So they have
   * the same order where they are all set anew, as after a restore.
   */
  ranked(rank: number): Clock {
    return { now: () => this.now(), schedule: (at, fn) => this.schedule(at, fn, rank) };
  }

  save(): VirtualClockState {
    return { retired: this.#retired, time: this.time.save() };
  }

  /** Goes on where the saved clock was. Timers are their owners' to set again. @throws {StateError} */
  restore(state: VirtualClockState): void {
    const { retired, time } = readClock(state);
    const before = this.#retired;
    this.#retired = retired;
    try {
      part("time", () => this.time.restore(time));
    } catch (error) {
      this.#retired = before;
      throw error;
    }
  }

  /** Called when the earliest timer may have changed: the running slice must end in time. */
  onSchedule(listener: () => void): void {
    this.#onSchedule = listener;
  }
  #onSchedule: () => void = () => undefined;

  /** Time of the earliest timer, or Infinity: also where time ends before. */
  get next(): number {
    const { next } = this.#queue;
    return next < MAX_TIME ? next : Number.POSITIVE_INFINITY;
  }

  /** How long until the earliest timer is due: ns of the host, or instructions; Infinity if it never is. */
  get untilNext(): number {
    return this.time.until(this.next);
  }

  /** Timers that are neither fired nor cancelled. */
  get timers(): number {
    return this.#queue.size;
  }

  /** Calls what is due. What these calls schedule waits for the next time, so that it ends whatever they do. */
  fire(): void {
    const now = this.now();
    const before = this.#queue.mark();
    for (let fn = this.#queue.take(now, before); fn !== null; fn = this.#queue.take(now, before)) fn();
  }
}

import { type Timer, TimerQueue } from "./timer-queue.js";

export type { Timer };

/** Where `performance` is a getter, it is one that takes as long as reading the clock. */
const timer = performance;

/** `host`: virtual time follows the host's. `icount`: one retired instruction is one nanosecond; idle time is skipped. */
export type ClockMode = "host" | "icount";

/** The virtual clock that drives every device of a machine. Times in ns since the machine was made. */
export class VirtualClock {
  readonly mode: ClockMode;
  readonly #queue = new TimerQueue();
  /** `icount`: time at the start of the running slice. `host`: host time that does not count (pauses). */
  #base = 0;
  readonly #hostNow: () => number;
  readonly #origin: number;
  #pausedAt: number | null = null;
  /** Instructions retired in the slice that is being executed, for `icount`. */
  inSlice: () => number = () => 0;

  /** @param hostNow monotonic host time in ms */
  constructor(mode: ClockMode, hostNow: () => number = () => timer.now()) {
    this.mode = mode;
    this.#hostNow = hostNow;
    this.#origin = hostNow();
  }

  now(): number {
    if (this.mode === "icount") return this.#base + this.inSlice();
    return Math.floor(((this.#pausedAt ?? this.#hostNow()) - this.#origin - this.#base) * 1e6);
  }

  /** `icount`: the slice retired `instructions`. */
  advance(instructions: number): void {
    if (this.mode === "icount") this.#base += instructions;
  }

  /** `icount`: nothing runs until `at`. */
  skipTo(at: number): void {
    if (this.mode === "icount" && at > this.#base) this.#base = at;
  }

  /** Stops virtual time while the machine is paused (`host`; `icount` stands still by itself). */
  pause(): void {
    if (this.mode === "host" && this.#pausedAt === null) this.#pausedAt = this.#hostNow();
  }

  resume(): void {
    if (this.#pausedAt === null) return;
    this.#base += this.#hostNow() - this.#pausedAt;
    this.#pausedAt = null;
  }

  schedule(at: number, fn: () => void): Timer {
    const timer = this.#queue.add(at, fn);
    this.#onSchedule();
    return timer;
  }

  /** Called when the earliest timer may have changed: the running slice must end in time. */
  onSchedule(listener: () => void): void {
    this.#onSchedule = listener;
  }
  #onSchedule: () => void = () => undefined;

  /** Time of the earliest timer, or Infinity. */
  get next(): number {
    return this.#queue.next;
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

/** A scheduled call. */
export interface Timer {
  cancel(): void;
}

interface Entry extends Timer {
  readonly at: number;
  /** Ties fire in the order they were scheduled. */
  readonly order: number;
  readonly fn: () => void;
  cancelled: boolean;
}

/** `host`: virtual time follows the host's. `icount`: one retired instruction is one nanosecond; idle time is skipped. */
export type ClockMode = "host" | "icount";

/** The virtual clock that drives every device of a machine. Times in ns since the machine was made. */
export class VirtualClock {
  readonly mode: ClockMode;
  readonly #queue: Entry[] = [];
  #order = 0;
  /** `icount`: time at the start of the running slice. `host`: host time that does not count (pauses). */
  #base = 0;
  readonly #hostNow: () => number;
  readonly #origin: number;
  #pausedAt: number | null = null;
  /** Instructions retired in the slice that is being executed, for `icount`. */
  inSlice: () => number = () => 0;

  /** @param hostNow monotonic host time in ms */
  constructor(mode: ClockMode, hostNow: () => number = () => performance.now()) {
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
    const entry: Entry = {
      at,
      order: this.#order++,
      fn,
      cancelled: false,
      cancel: () => {
        entry.cancelled = true;
      },
    };
    let k = this.#queue.length;
    while (k > 0 && (this.#queue[k - 1] as Entry).at > at) k--;
    this.#queue.splice(k, 0, entry);
    this.#onSchedule();
    return entry;
  }

  /** Called when the earliest timer may have changed: the running slice must end in time. */
  onSchedule(listener: () => void): void {
    this.#onSchedule = listener;
  }
  #onSchedule: () => void = () => undefined;

  /** Time of the earliest timer, or Infinity. */
  get next(): number {
    while (this.#queue[0]?.cancelled) this.#queue.shift();
    return this.#queue[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Calls what is due. */
  fire(): void {
    const now = this.now();
    while (this.next <= now) (this.#queue.shift() as Entry).fn();
  }
}

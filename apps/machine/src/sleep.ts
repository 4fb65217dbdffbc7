import { turn } from "./turn.js";

/** Part of the host's time that may be spent on turns of the event loop that only wait. */
const SHARE = 0.25;
/** Most time that may be spent so in a row, ms; it is earned again at that rate. */
const CREDIT_MS = 20;
/** Longest wait of a timer of the host, ms; such a timer also keeps a process alive that waits for nothing else. */
export const MAX_SLEEP_MS = 2 ** 30;

/**
 * Sleeps until a moment that is finer than timers of the host, which know whole milliseconds and are late by up to one: such a timer
 * for the milliseconds, turns of the event loop for what is left. Turns use a processor, so there is a limit to their share: a guest whose
 * timers follow each other so closely that it is used up has them as late as the host's are.
 */
export class Sleeper {
  readonly #now: () => number;
  #credit = CREDIT_MS;
  #countedAt: number;

  /** @param now monotonic host time in ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#countedAt = now();
  }

  /**
   * Calls `done` once, `ms` (which may have a fraction) from now, and never from inside `start` itself.
   * @returns what takes the call back
   */
  start(ms: number, done: () => void): () => void {
    const wanted = Math.min(Math.max(ms, 0), MAX_SLEEP_MS);
    const until = this.#now() + wanted;
    const whole = Math.floor(wanted);
    this.#earn();
    const fine = this.#credit >= wanted - whole;
    let waiting = true;
    const finish = (): void => {
      if (!waiting) return;
      waiting = false;
      done();
    };
    if (!fine) {
      const timer = setTimeout(finish, Math.ceil(wanted));
      return () => clearTimeout(timer);
    }
    const timer = whole > 0 ? setTimeout(() => void this.#turnUntil(until, () => waiting).then(finish), whole) : null;
    if (timer === null) void this.#turnUntil(until, () => waiting).then(finish);
    return () => {
      waiting = false;
      if (timer !== null) clearTimeout(timer);
    };
  }

  #earn(): void {
    const now = this.#now();
    this.#credit = Math.min(CREDIT_MS, this.#credit + SHARE * (now - this.#countedAt));
    this.#countedAt = now;
  }

  /** At least one turn, then more until the moment has come. */
  async #turnUntil(until: number, wanted: () => boolean): Promise<void> {
    const began = this.#now();
    do await turn();
    while (wanted() && this.#now() < until);
    this.#credit -= this.#now() - began;
  }
}

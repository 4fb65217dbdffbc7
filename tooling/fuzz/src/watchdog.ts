/** A case that has not ended by then hangs, ms. */
export const HANG_MS = 60_000;

/** Tells a case that hangs from one that is slow. */
export class Watchdog {
  #done = -1;
  #since: number;

  /** @param now time, ms */
  constructor(now: number) {
    this.#since = now;
  }

  /** @param done cases that have ended so far */
  isHanging(now: number, done: number): boolean {
    if (done !== this.#done) [this.#done, this.#since] = [done, now];
    return now - this.#since > HANG_MS;
  }
}

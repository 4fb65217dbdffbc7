import { hostWait } from "./host-wait.js";

/** Measures the longest time for which the event loop of this thread was kept from its turn, without what the thread itself waited for a processor. */
export class TurnMeter {
  #last = 0;
  #waited = 0;
  #longest = 0;
  #running = false;

  /** Does `work` and returns the longest turn meanwhile, ms, beside what it returned. `again` begins anew. */
  async measure<T>(
    work: (again: () => void) => T | Promise<T>,
  ): Promise<{ readonly value: T; readonly longest: number }> {
    const begin = (): void => {
      this.#look();
      this.#longest = 0;
    };
    begin();
    this.#running = true;
    const tick = (): void => {
      this.#look();
      if (this.#running) setImmediate(tick);
    };
    setImmediate(tick);
    try {
      const value = await work(begin);
      this.#look();
      return { value, longest: this.#longest };
    } finally {
      this.#running = false;
    }
  }

  #look(): void {
    let waited: number;
    let now: number;
    // Both of one moment: a wait between the two would be taken off a turn that it is no part of.
    do [waited, now] = [hostWait(), performance.now()];
    while (hostWait() !== waited);
    this.#longest = Math.max(this.#longest, now - this.#last - (waited - this.#waited));
    [this.#last, this.#waited] = [now, waited];
  }
}

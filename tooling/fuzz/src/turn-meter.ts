/** Measures the longest time for which the event loop of this thread was kept from its turn. */
export class TurnMeter {
  #last = 0;
  #longest = 0;
  #running = false;

  /** Does `work` and returns the longest turn meanwhile, ms, beside what it returned. */
  async measure<T>(work: () => T | Promise<T>): Promise<{ readonly value: T; readonly longest: number }> {
    this.#longest = 0;
    this.#last = performance.now();
    this.#running = true;
    const tick = (): void => {
      this.#look();
      if (this.#running) setImmediate(tick);
    };
    setImmediate(tick);
    try {
      const value = await work();
      this.#look();
      return { value, longest: this.#longest };
    } finally {
      this.#running = false;
    }
  }

  #look(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }
}

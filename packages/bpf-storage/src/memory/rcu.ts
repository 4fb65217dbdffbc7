/**
 * Read-copy-update where one program runs at a time: what a program may still hold is freed when none runs. Programs nest, one that is attached to
 * what another does.
 */
export class Rcu {
  #readers = 0;
  #waiting: (() => void)[] = [];

  /** Programs that run. */
  get readers(): number {
    return this.#readers;
  }

  /** Callbacks that wait. */
  get pending(): number {
    return this.#waiting.length;
  }

  /** Runs `read` as a reader. */
  lock<T>(read: () => T): T {
    this.#readers++;
    try {
      return read();
    } finally {
      if (--this.#readers === 0) this.#drain();
    }
  }

  /** Calls `free` when all who read now have ended: at once if none does. */
  call(free: () => void): void {
    if (this.#readers === 0) free();
    else this.#waiting.push(free);
  }

  #drain(): void {
    for (let free = this.#waiting.pop(); free !== undefined; free = this.#waiting.pop()) free();
  }
}

/** Decides which task goes on, at every place where one may have to wait for a lock; nothing else is left to chance. */
import type { LockdepOptions, Task } from "@vm/lockdep";

/** One of `count` alternatives. */
export type Choose = (count: number) => number;

/** Numbers that look random and follow from `seed`: splitmix32. */
export function choicesOf(seed: number): Choose {
  let state = seed | 0;
  return (count) => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % count;
  };
}

/** Lets every continuation run that is ready, and those that become so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** More decisions than any of the programs here can need. */
const ENDLESS = 5000;

export class Scheduler {
  readonly #stopped = new Map<string, () => void>();
  #isRunning = false;

  readonly beforeAcquire: NonNullable<LockdepOptions["beforeAcquire"]> = (task) => this.stop(task);

  /** A place where others may go on; before {@link run}, nobody stops. */
  stop(task: Task): Promise<void> | undefined {
    if (!this.#isRunning) return undefined;
    return new Promise((go) => this.#stopped.set(task.comm, go));
  }

  /**
   * Runs the bodies until nobody can go on; `check` is called whenever all have stopped.
   * @returns how many have not come to their end
   */
  async run(bodies: readonly (() => Promise<void>)[], choose: Choose, check: () => void): Promise<number> {
    this.#isRunning = true;
    let left = bodies.length;
    let failure: unknown;
    for (const body of bodies)
      body().then(
        () => left--,
        (error: unknown) => {
          failure ??= error;
        },
      );
    for (let decisions = 0; ; decisions++) {
      await settle();
      if (failure !== undefined) throw failure;
      check();
      if (this.#stopped.size === 0) break;
      if (decisions === ENDLESS) throw new Error("the tasks never come to an end");
      // By name, so that a decision means the same in every run.
      const names = [...this.#stopped.keys()].sort();
      const name = names[choose(names.length)] as string;
      const go = this.#stopped.get(name);
      this.#stopped.delete(name);
      go?.();
    }
    this.#isRunning = false;
    return left;
  }
}

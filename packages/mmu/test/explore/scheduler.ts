/** Decides which task goes on, at every place where one may have to wait for a lock; nothing else is left to chance. */
import type { LockdepOptions, Task } from "@vm/lockdep";

/** One of `count` alternatives. */
export type Choose = (count: number) => number;

/** Numbers that look random and follow from `seed`: mulberry32. */
export function randomFrom(seed: number): Choose {
  let state = seed;
  return (count) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % count;
  };
}

/** Lets every continuation run that is ready, and those that become so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** More decisions than any of the programs here can need. */
const ENDLESS = 5000;

export class Scheduler {
  readonly #ready: { readonly task: Task; readonly go: () => void }[] = [];
  #running = false;

  /** For {@link Lockdep}; nobody stops before {@link run}. */
  readonly beforeAcquire: NonNullable<LockdepOptions["beforeAcquire"]> = (task) => this.stop(task);

  /** A place where others may go on. */
  stop(task: Task): Promise<void> | undefined {
    if (!this.#running) return undefined;
    return new Promise((go) => this.#ready.push({ task, go }));
  }

  /**
   * Runs the bodies until nobody can go on; `between` is called whenever all have stopped.
   * @returns bodies that have not come to their end
   */
  async run(bodies: readonly (() => Promise<void>)[], choose: Choose, between: () => void): Promise<number> {
    this.#running = true;
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
      between();
      if (this.#ready.length === 0) break;
      if (decisions === ENDLESS) throw new Error("the tasks never come to an end");
      // By name, so that a decision means the same in every run.
      this.#ready.sort((a, b) => (a.task.comm < b.task.comm ? -1 : 1));
      this.#ready.splice(choose(this.#ready.length), 1)[0]?.go();
    }
    this.#running = false;
    return left;
  }
}

/** Calls `run` with every sequence of choices there is, one after the other. @returns how many there were */
export async function everySchedule(run: (choose: Choose) => Promise<void>): Promise<number> {
  let plan: number[] = [];
  for (let schedules = 1; ; schedules++) {
    const counts: number[] = [];
    await run((count) => {
      counts.push(count);
      return plan[counts.length - 1] ?? 0;
    });
    // The next plan: the last decision that has an alternative takes it.
    plan = counts.map((_, k) => plan[k] ?? 0);
    let last = plan.length - 1;
    while (last >= 0 && (plan[last] ?? 0) + 1 >= (counts[last] ?? 0)) last--;
    if (last < 0) return schedules;
    plan = [...plan.slice(0, last), (plan[last] ?? 0) + 1];
  }
}

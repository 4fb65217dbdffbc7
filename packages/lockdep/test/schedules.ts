/** A scheduler over the places where tasks may wait: it decides who takes a lock next, and can try every decision. */
import type { Lockdep, LockdepOptions, Task } from "../src/index.js";

export interface Run {
  /** Who went on at each decision. */
  readonly order: readonly string[];
  /** Whether everybody came to an end. */
  readonly finished: boolean;
}

/** Lets every continuation run that is ready, and those that become so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs the tasks that `start` starts under every sequence of decisions; `check` sees each. Returns the number of schedules. */
export async function everySchedule(
  start: (hook: NonNullable<LockdepOptions["beforeAcquire"]>) => {
    readonly lockdep: Lockdep;
    readonly bodies: readonly (() => Promise<unknown>)[];
  },
  check: (run: Run, lockdep: Lockdep) => void,
): Promise<number> {
  let plan: number[] = [];
  for (let schedules = 1; ; schedules++) {
    const ready: { readonly task: Task; readonly go: () => void }[] = [];
    const { lockdep, bodies } = start((task) => new Promise((go) => ready.push({ task, go })));
    let left = bodies.length;
    for (const body of bodies) void body().then(() => left--);
    const order: string[] = [];
    const choices: number[] = [];
    for (await settle(); ready.length > 0; await settle()) {
      // By name, so that a decision means the same in every run.
      ready.sort((a, b) => a.task.comm.localeCompare(b.task.comm));
      const [next] = ready.splice(plan[order.length] ?? 0, 1);
      choices.push(ready.length + 1);
      order.push(next?.task.comm ?? "");
      next?.go();
    }
    check({ order, finished: left === 0 }, lockdep);
    // The next plan: the last decision that has an alternative takes it.
    plan = choices.map((_, k) => plan[k] ?? 0);
    let last = plan.length - 1;
    while (last >= 0 && (plan[last] ?? 0) + 1 >= (choices[last] ?? 0)) last--;
    if (last < 0) return schedules;
    plan = [...plan.slice(0, last), (plan[last] ?? 0) + 1];
  }
}

import { setImmediate } from "node:timers/promises";
import { type Deadlock, type Report, Task } from "@vm/lockdep";
import { ExitCode } from "../exit-code.js";
import { say } from "../report.js";
import { captureRoles } from "./frames.js";
import { DemoHost } from "./host.js";

export interface LockdepDemoFlags {
  readonly order: "old" | "fixed";
  /** False with --no-lockdep. */
  readonly lockdep: boolean;
}

/** Status after a report or a deadlock. */
export const FOUND = 1;

/**
 * `vm lockdep-demo`: the deadlock between populating a guest_memfd and a fault on one that is shared in place. With the validator one thread does both, one
 * after the other; without it three do all at once.
 */
export async function lockdepDemo({ order, lockdep }: LockdepDemoFlags): Promise<number> {
  const found = lockdep ? await validate(order) : await collide(order);
  if (found === undefined) {
    say(lockdep ? "no report: one order of locks" : "no deadlock: every task came to its end");
    return ExitCode.Ok;
  }
  process.stdout.write(`${highlight(found)}\n`);
  return FOUND;
}

/** The two steps under the validator, in one thread; what it reports. */
export async function validate(order: LockdepDemoFlags["order"]): Promise<string | undefined> {
  let report: Report | undefined;
  const host = await DemoHost.twoVms(order === "old", {
    onReport: (one) => {
      report = one;
    },
    captureStack: captureRoles,
    everySite: true,
  });
  const task = host.thread();
  await host.initMemRegion(task);
  await host.touchShared(task);
  return report?.text;
}

/**
 * Who takes its next lock, in turn. fault has mmap_lock shared and comes for invalidate_lock; populate has invalidate_lock when it comes for
 * mmap_lock; without mmap, which comes to take mmap_lock exclusively between the two and waits for fault, populate would get it, for readers do not keep
 * each other out.
 */
const SCHEDULE = ["populate", "populate", "mmap", "populate", "fault"];

/**
 * The same on one guest_memfd and with nothing but locks, each step by a thread of its own, at the worst moments; the deadlock as the wait-for graph has it.
 */
export async function collide(order: LockdepDemoFlags["order"]): Promise<string | undefined> {
  const turns = new Turns();
  let ended = (_deadlock: Deadlock | undefined): void => undefined;
  const end = new Promise<Deadlock | undefined>((resolve) => {
    ended = resolve;
  });
  const host = await DemoHost.oneVm(order === "old", {
    enabled: false,
    onDeadlock: ended,
    beforeAcquire: (task) => turns.wait(task),
  });
  const thread = (comm: string, step: (task: Task) => Promise<void>): Promise<void> =>
    step(new Task(host.lockdep, comm));
  turns.start(SCHEDULE);
  void Promise.all([
    thread("fault", (task) => host.touchShared(task)),
    thread("populate", (task) => host.initMemRegion(task)),
    thread("mmap", (task) => host.mapMore(task)),
  ]).then(() => ended(undefined));
  return (await end)?.text;
}

/** Lets tasks go on in a given order, one when the other has come to its next lock, and as they come after that. */
class Turns {
  readonly #waiting = new Map<string, () => void>();
  #open = true;

  start(schedule: readonly string[]): void {
    this.#open = false;
    void this.#drive(schedule);
  }

  wait(task: Task): Promise<void> | undefined {
    if (this.#open) return undefined;
    return new Promise((go) => this.#waiting.set(task.comm, go));
  }

  async #drive(schedule: readonly string[]): Promise<void> {
    for (const comm of schedule) {
      await setImmediate();
      this.#waiting.get(comm)?.();
      this.#waiting.delete(comm);
    }
    await setImmediate();
    this.#open = true;
    for (const go of this.#waiting.values()) go();
  }
}

/** On a terminal, the first words of it in red. */
function highlight(text: string): string {
  const { NO_COLOR } = process.env;
  if (process.stdout.isTTY !== true || NO_COLOR) return text;
  return text.replace(/WARNING: .*|DEADLOCK: .*|\*\*\* DEADLOCK \*\*\*/g, "\x1b[1;31m$&\x1b[0m");
}

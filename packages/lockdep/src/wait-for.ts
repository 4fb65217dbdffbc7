/** The wait-for graph: real waiting, as opposed to the validator's possible waiting. It works with the validator off. */
import type { LockMap } from "./lock-map.js";
import type { Stack } from "./stack.js";
import type { Task } from "./task.js";

/** A task waits for a lock. */
export interface Wait {
  readonly lock: LockMap;
  readonly how: "exclusive" | "shared" | "grace period";
  /** Where; known if the validator was enabled, also after it reported. */
  readonly stack: Stack | undefined;
}

/** A link of a deadlock: `task` waits for `lock`, and will not get it before `behind` has gone on. */
export interface DeadlockLink {
  readonly task: Task;
  readonly wait: Wait;
  readonly behind: Task;
  /** Whether `behind` has the lock, or only waits for it as well, further ahead. */
  readonly holds: boolean;
}

/** Tasks that wait for each other in a circle: none of them will ever run again. */
export interface Deadlock {
  readonly links: readonly DeadlockLink[];
  /** The circle in words, a line each. */
  readonly text: string;
}

function link(task: Task, wait: Wait, behind: Task): DeadlockLink {
  return { task, wait, behind, holds: wait.lock._holders().includes(behind) };
}

function describe({ task, wait, behind, holds }: DeadlockLink): string {
  const what = wait.how === "grace period" ? "the readers of" : `${wait.how} use of`;
  const where = wait.stack === undefined ? "" : `, at: ${wait.stack.site}`;
  const why = holds ? `held by ${behind}` : `for which ${behind} waits before it`;
  return ` ${task} waits for ${what} ${task.lockdep.describe(wait.lock)}, ${why}${where}`;
}

/**
 * The circle `start` waits in, if any. Everybody who waits needs every one of its blockers to go on, so one circle is enough for a deadlock;
 * and it is closed by whoever starts to wait last, so looking from each task as it begins to wait finds all.
 */
export function findDeadlock(start: Task): Deadlock | undefined {
  const visited = new Set<Task>();
  const path: DeadlockLink[] = [];
  const reaches = (task: Task): boolean => {
    const wait = task.waiting;
    if (wait === undefined || visited.has(task)) return false;
    visited.add(task);
    for (const behind of wait.lock._blockers(task)) {
      path.push(link(task, wait, behind));
      if (behind === start || reaches(behind)) return true;
      path.pop();
    }
    return false;
  };
  if (!reaches(start)) return undefined;
  const who = path.length === 1 ? "a task waits for itself" : `${path.length} tasks wait for each other`;
  return { links: path, text: [`DEADLOCK: ${who}`, ...path.map(describe)].join("\n") };
}

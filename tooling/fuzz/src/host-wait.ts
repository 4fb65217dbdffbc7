import { readFileSync } from "node:fs";

/** Run time, time waited for a processor, both in ns, and slices (Linux Documentation/scheduler/sched-stats.rst). */
const SCHEDSTAT = "/proc/thread-self/schedstat";

let known = true;

/** How long this thread has waited for a processor of the host since it began, ms; 0 where the host does not tell. */
export function hostWait(): number {
  if (!known) return 0;
  try {
    return Number(readFileSync(SCHEDSTAT, "latin1").split(" ")[1]) / 1e6;
  } catch (error) {
    // Not Linux, or a kernel without scheduler statistics: the wait counts as the door's, and repeats have to tell.
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    known = false;
    return 0;
  }
}

/** What a running process uses: CPU time thread by thread, as the kernel's scheduler has counted it (/proc/PID/task/TID/schedstat), and memory. */
import { readdirSync, readFileSync } from "node:fs";

/** Nanoseconds on a processor, by thread id. Time the host's hypervisor took away is not in it. */
export type ThreadTimes = ReadonlyMap<number, number>;

/** CPU seconds between two looks. */
export interface CpuSpan {
  /** Of the thread that used most. */
  readonly busiest: number;
  /** Of all threads. */
  readonly all: number;
}

const NS = 1e9;

/** What the threads used between two looks; one that began between them counts from its beginning. */
export function between(from: ThreadTimes, to: ThreadTimes): CpuSpan {
  const used = [...to].map(([thread, time]) => (time - (from.get(thread) ?? 0)) / NS);
  return { busiest: Math.max(0, ...used), all: used.reduce((sum, seconds) => sum + seconds, 0) };
}

/** What `read` tells of a process, undefined when it has ended. */
function unlessEnded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** A file of /proc, undefined when what it tells of has ended. */
export const readProc = (path: string): string | undefined => unlessEnded(() => readFileSync(path, "utf8"));

/** Resident set of a process and its peak, bytes; zeros when it has ended. */
export function residentSet(pid: number): { now: number; peak: number } {
  const status = readProc(`/proc/${pid}/status`) ?? "";
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { now: bytes("VmRSS"), peak: bytes("VmHWM") };
}

/**
 * Looks at a process again and again. A thread that has ended keeps the time of the last look at it. The time of a thread that
 * is running at the moment may be as old as the last tick of the scheduler, a few milliseconds.
 */
export class ThreadClock {
  private readonly seen = new Map<number, number>();

  constructor(private readonly pid: number) {}

  /** The times by now; those of the last look when the process has ended. */
  look(): ThreadTimes {
    const directory = `/proc/${this.pid}/task`;
    for (const thread of unlessEnded(() => readdirSync(directory)) ?? []) {
      const text = readProc(`${directory}/${thread}/schedstat`);
      if (text !== undefined) this.seen.set(Number(thread), Number(text.split(" ")[0]));
    }
    return new Map(this.seen);
  }
}

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { BenchError } from "./errors.js";
import { residentSet, ThreadClock, type ThreadTimes } from "./threads.js";

/** What a finished process cost. */
export interface Measured {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** User and system time of all its threads, seconds. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** Peak resident set, bytes. */
  readonly peakRssBytes: number;
  /** What its threads had used when its output first matched `until`. Undefined if it never did. */
  readonly reached?: ThreadTimes;
}

/** What to do while a process runs. */
export interface MeasureOptions {
  /** Gets each line of its stdout with what its threads have used by then. */
  readonly onLine?: (line: string, used: ThreadTimes) => void;
  /** The process is ended when a line of its stdout, or what there is of the last one, matches. */
  readonly until?: RegExp;
  /** Gets its resident set, bytes, about twenty times a second. */
  readonly onRss?: (bytes: number) => void;
  /** Default 600. */
  readonly timeoutSeconds?: number;
}

/** Linux reports process times in ticks of 1/100 s on every architecture (USER_HZ). */
const TICKS_PER_SECOND = 100;
const POLL_MS = 50;
const PROC_STAT_CUTIME = 15;

/** User and system time of the children this process has waited for, seconds. Fields count from 0; the name in field 1 may hold spaces. */
function timesOfChildren(): number {
  const text = readFileSync("/proc/self/stat", "utf8");
  const afterName = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(afterName[PROC_STAT_CUTIME - 2]) + Number(afterName[PROC_STAT_CUTIME - 1])) / TICKS_PER_SECOND;
}

let running = false;

/**
 * Runs a process to its end and measures it. CPU time is what the kernel adds to this process for children it has waited
 * for, so it is exact to a tick, and only one measurement can run at a time.
 *
 * @throws BenchError off Linux, while another measurement runs, when the program cannot be started, or on a time-out.
 */
export async function measure(
  program: string,
  args: readonly string[],
  options: MeasureOptions = {},
): Promise<Measured> {
  if (process.platform !== "linux") throw new BenchError("the benchmarks read /proc and run on Linux only");
  if (running) throw new BenchError("only one measurement can run at a time");
  running = true;
  try {
    return await run(program, args, options);
  } finally {
    running = false;
  }
}

function run(
  program: string,
  args: readonly string[],
  { onLine, until, onRss, timeoutSeconds = 600 }: MeasureOptions,
): Promise<Measured> {
  const cpuBefore = timesOfChildren();
  const began = process.hrtime.bigint();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const clock = new ThreadClock(child.pid ?? 0);
  let stdout = "";
  let stderr = "";
  let partial = "";
  let peak = 0;
  let timedOut = false;
  let reached: ThreadTimes | undefined;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const used = onLine === undefined && until === undefined ? undefined : clock.look();
    stdout += text;
    const lines = (partial + text).split("\n");
    partial = lines.at(-1) ?? "";
    if (used === undefined || reached !== undefined) return;
    for (const line of lines.slice(0, -1)) onLine?.(line, used);
    if (until === undefined || !lines.some((line) => until.test(line))) return;
    reached = used;
    child.kill("SIGKILL");
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const poll = setInterval(() => {
    if (child.pid === undefined) return;
    const rss = residentSet(child.pid);
    peak = Math.max(peak, rss.peak);
    if (rss.now > 0) onRss?.(rss.now);
    // So that the time of threads that end between two lines is not lost.
    if (onLine !== undefined || until !== undefined) clock.look();
  }, POLL_MS);
  const limit = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, timeoutSeconds * 1000);
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearInterval(poll);
      clearTimeout(limit);
    };
    child.on("error", (cause) => {
      finish();
      reject(new BenchError(`cannot run ${program}: ${cause.message}`, { cause }));
    });
    child.on("close", (status) => {
      finish();
      if (timedOut)
        return reject(
          new BenchError(`${program} did not end within ${timeoutSeconds} s; its output ends: ${stdout.slice(-500)}`),
        );
      const wallSeconds = Number(process.hrtime.bigint() - began) / 1e9;
      const cpuSeconds = timesOfChildren() - cpuBefore;
      const cost = { status, stdout, stderr, cpuSeconds, wallSeconds, peakRssBytes: peak };
      resolve(reached === undefined ? cost : { ...cost, reached });
    });
  });
}

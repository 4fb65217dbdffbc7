import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { BenchError } from "./errors.js";

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
}

/** What to do while a process runs: `onLine` gets each line of its stdout with the CPU seconds it has used by then. */
export interface MeasureOptions {
  readonly onLine?: (line: string, cpuSeconds: number) => void;
  readonly timeoutSeconds?: number;
}

/** Linux reports process times in ticks of 1/100 s on every architecture (USER_HZ). */
const TICKS_PER_SECOND = 100;
const RSS_POLL_MS = 50;
const PROC_STAT_UTIME = 13;
const PROC_STAT_CUTIME = 15;

/** Two neighbouring time fields of /proc/PID/stat added up, seconds. Fields count from 0; the name in field 1 may hold spaces. */
function times(pid: number | "self", first: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const afterName = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(afterName[first - 2]) + Number(afterName[first - 1])) / TICKS_PER_SECOND;
}

function peakRss(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch (error) {
    // The process has ended between two looks.
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return 0;
    throw error;
  }
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
  { onLine, timeoutSeconds = 600 }: MeasureOptions,
): Promise<Measured> {
  const cpuBefore = times("self", PROC_STAT_CUTIME);
  const began = process.hrtime.bigint();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  let partial = "";
  let peak = 0;
  let timedOut = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    const lines = (partial + text).split("\n");
    partial = lines.pop() ?? "";
    if (onLine === undefined || child.pid === undefined) return;
    const cpu = times(child.pid, PROC_STAT_UTIME);
    for (const line of lines) onLine(line, cpu);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const poll = setInterval(() => {
    if (child.pid !== undefined) peak = Math.max(peak, peakRss(child.pid));
  }, RSS_POLL_MS);
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
      if (timedOut) return reject(new BenchError(`${program} did not end within ${timeoutSeconds} s`));
      const wallSeconds = Number(process.hrtime.bigint() - began) / 1e9;
      const cpuSeconds = times("self", PROC_STAT_CUTIME) - cpuBefore;
      resolve({ status, stdout, stderr, cpuSeconds, wallSeconds, peakRssBytes: peak });
    });
  });
}

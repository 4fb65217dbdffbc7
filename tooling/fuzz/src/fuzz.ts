import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { growth } from "./growth.js";
import { Totals } from "./totals.js";
import { HANG_MS, Watchdog } from "./watchdog.js";
import { CURRENT, DONE, type Task, type Told } from "./worker-protocol.js";

export interface Failure {
  readonly seed: number;
  readonly violation: string;
  readonly detail: string;
}

export interface FuzzOptions {
  /** Name of the door. */
  readonly door: string;
  readonly first: number;
  readonly count: number;
  /** Host time, seconds. */
  readonly seconds: number;
  readonly onFailure: (failure: Failure) => void;
  readonly onProgress: (totals: Totals) => void;
  readonly signal: AbortSignal;
}

const LOOK_MS = 1000;
/** Memory of the whole process beyond which a case is ended and named, bytes. */
const RSS_LIMIT = 3 * 2 ** 30;

/** Why a worker was ended within a case. */
interface Stuck {
  readonly seed: number;
  readonly violation: string;
  readonly detail: string;
}

/**
 * Runs cases in a thread of their own, so that one that hangs or takes all memory can be ended and named.
 * @returns the totals
 */
export async function fuzz(options: FuzzOptions): Promise<Totals> {
  const totals = new Totals();
  const end = Date.now() + 1000 * options.seconds;
  const fail = (failure: Failure): void => {
    totals.failures++;
    options.onFailure(failure);
  };
  let next = options.first;
  let left = options.count;
  while (left > 0 && Date.now() < end && !options.signal.aborted) {
    const samples: number[] = [];
    const tell = (told: Told): void => {
      if ("memory" in told) {
        samples.push(told.memory);
        totals.memory(told.memory);
        return;
      }
      totals.add(told.outcome);
      const { failure, seed } = told.outcome;
      if (failure !== null) fail({ seed, ...failure });
    };
    const progress = (): void => options.onProgress(totals);
    const stuck = await runWorker({ ...options, first: next, count: left, end, tell, progress });
    const grown = growth(samples);
    if (grown > 0) fail({ seed: next, violation: "memory", detail: `it grew by ${Math.round(grown / 2 ** 20)} MiB` });
    if (stuck === null) break;
    totals.cases++;
    fail(stuck);
    left -= stuck.seed + 1 - next;
    next = stuck.seed + 1;
  }
  return totals;
}

interface WorkerOptions {
  readonly door: string;
  readonly first: number;
  readonly count: number;
  /** Time at which to stop, ms. */
  readonly end: number;
  readonly signal: AbortSignal;
  readonly tell: (told: Told) => void;
  readonly progress: () => void;
}

/** Runs one worker to its end. @returns the case within which it had to be ended, or null */
function runWorker({ door, first, count, end, signal, tell, progress }: WorkerOptions): Promise<Stuck | null> {
  return new Promise((resolve) => {
    const cells = new Int32Array(new SharedArrayBuffer(8));
    const workerData: Task = { door, first, count, progress: cells.buffer as SharedArrayBuffer };
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData });
    const watchdog = new Watchdog(Date.now());
    const stop = (outcome: Stuck | null): void => {
      clearInterval(timer);
      worker.removeAllListeners();
      void worker.terminate().then(() => resolve(outcome));
    };
    const current = (violation: string, detail: string): void =>
      stop({ seed: Atomics.load(cells, CURRENT), violation, detail });
    const timer = setInterval(() => {
      progress();
      const now = Date.now();
      if (now >= end || signal.aborted) return stop(null);
      if (watchdog.isHanging(now, Atomics.load(cells, DONE)))
        return current("hang", `no end after ${HANG_MS / 1000} s`);
      const rss = process.memoryUsage.rss();
      if (rss > RSS_LIMIT) current("memory", `${Math.round(rss / 2 ** 20)} MiB in use`);
    }, LOOK_MS);
    worker.on("message", tell);
    // What nobody awaited, or the end of the heap.
    worker.on("error", (error) => current("host exception", error.stack ?? error.message));
    worker.on("exit", () => stop(null));
  });
}

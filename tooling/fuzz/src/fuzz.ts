import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Failure } from "./check.js";
import { CURRENT, DONE, type Task, type Told } from "./worker-protocol.js";

export interface FuzzOptions {
  readonly first: number;
  readonly count: number;
  /** Host time, seconds. */
  readonly seconds: number;
  readonly onFailure: (failure: Failure) => void;
  readonly onProgress: (progress: Progress) => void;
  readonly signal: AbortSignal;
}

export interface Progress {
  readonly cases: number;
  readonly failures: number;
  /** Instructions. */
  readonly retired: number;
  /** Exceptions and interrupts. */
  readonly events: number;
  /** Cases by how they began, and by how they ended. */
  readonly modes: ReadonlyMap<string, number>;
  readonly exits: ReadonlyMap<string, number>;
}

/** A case that has not ended by then hangs, ms. */
export const HANG_MS = 60_000;
const LOOK_MS = 1000;

/** Tells a case that hangs from one that is slow. */
export class Watchdog {
  #done = -1;
  #since: number;

  /** @param now time, ms */
  constructor(now: number) {
    this.#since = now;
  }

  /** @param done cases that have ended so far */
  isHanging(now: number, done: number): boolean {
    if (done !== this.#done) [this.#done, this.#since] = [done, now];
    return now - this.#since > HANG_MS;
  }
}

/**
 * Runs cases in a thread of their own, so that one that hangs can be ended and named.
 * @returns the totals
 */
export async function fuzz(options: FuzzOptions): Promise<Progress> {
  const modes = new Map<string, number>();
  const exits = new Map<string, number>();
  const totals = { cases: 0, failures: 0, retired: 0, events: 0, modes, exits };
  const end = Date.now() + 1000 * options.seconds;
  const count = (map: Map<string, number>, key: string): void => void map.set(key, (map.get(key) ?? 0) + 1);
  const tell = (told: Told): void => {
    totals.cases++;
    totals.retired += told.retired;
    totals.events += told.events;
    count(modes, told.mode);
    count(exits, told.exit);
    if (told.failure === null) return;
    totals.failures++;
    options.onFailure(told.failure);
  };
  let next = options.first;
  let left = options.count;
  while (left > 0 && Date.now() < end && !options.signal.aborted) {
    const hung = await runWorker({
      ...options,
      first: next,
      count: left,
      end,
      tell,
      progress: () => options.onProgress(totals),
    });
    if (hung === null) break;
    totals.cases++;
    totals.failures++;
    options.onFailure({ seed: hung, violation: "hang", detail: `no end after ${HANG_MS / 1000} s` });
    left -= hung + 1 - next;
    next = hung + 1;
  }
  return totals;
}

interface WorkerOptions {
  readonly first: number;
  readonly count: number;
  /** Time at which to stop, ms. */
  readonly end: number;
  readonly signal: AbortSignal;
  readonly tell: (told: Told) => void;
  readonly progress: () => void;
}

/** Runs one worker to its end. @returns the seed at which it hung, or null */
function runWorker({ first, count, end, signal, tell, progress }: WorkerOptions): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const cells = new Int32Array(new SharedArrayBuffer(8));
    const workerData: Task = { first, count, progress: cells.buffer as SharedArrayBuffer };
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData });
    const watchdog = new Watchdog(Date.now());
    const stop = (outcome: number | null): void => {
      clearInterval(timer);
      worker.removeAllListeners();
      void worker.terminate().then(() => resolve(outcome));
    };
    const timer = setInterval(() => {
      progress();
      const now = Date.now();
      if (now >= end || signal.aborted) return stop(null);
      if (watchdog.isHanging(now, Atomics.load(cells, DONE))) stop(Atomics.load(cells, CURRENT));
    }, LOOK_MS);
    worker.on("message", tell);
    worker.on("error", (error) => {
      clearInterval(timer);
      reject(error);
    });
    worker.on("exit", () => stop(null));
  });
}

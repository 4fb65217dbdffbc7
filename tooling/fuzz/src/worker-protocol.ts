import type { Outcome } from "./cases.js";

/** What the worker is given. */
export interface Task {
  readonly door: string;
  /** Seed of the first case; the next one is one higher. */
  readonly first: number;
  readonly count: number;
  /** Int32 cells: the seed that runs, and how many cases are done. */
  readonly progress: SharedArrayBuffer;
}

/** What it tells: of every case, and of memory in use now and then, bytes behind a garbage collection. */
export type Told = { readonly outcome: Outcome } | { readonly memory: number };

export const CURRENT = 0;
export const DONE = 1;

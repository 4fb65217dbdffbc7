import type { Checked } from "./check.js";

/** What the worker is given. */
export interface Task {
  /** Seed of the first case; the next one is one higher. */
  readonly first: number;
  readonly count: number;
  /** Int32 cells: the seed that runs, and how many cases are done. */
  readonly progress: SharedArrayBuffer;
}

/** What it tells about every case. */
export type Told = Checked & { readonly seed: number };

export const CURRENT = 0;
export const DONE = 1;

import { Marks } from "./marks.js";
import type { CpuSpan, ThreadTimes } from "./threads.js";

/** What a piece of work cost, seconds. */
export interface Cost extends CpuSpan {
  /** By the clock on the wall. */
  readonly wall: number;
}

/** A thread that is never at rest. */
const WALL = 0;
const NS_PER_MS = 1e6;

/** {@link Marks} that look at the clock on the wall as well. */
export class CostMarks {
  readonly #cpu = new Marks();
  readonly #wall = new Marks();
  readonly #now: () => number;

  /** @param now ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  readonly line = (text: string, used: ThreadTimes): void => {
    this.#cpu.line(text, used);
    this.#wall.line(text, new Map([[WALL, this.#now() * NS_PER_MS]]));
  };

  /** By name, what came between two marks, with the checksum that the second one said. */
  get costs(): ReadonlyMap<string, Cost & { readonly checksum: string }> {
    return new Map(
      [...this.#cpu.spans].map(([name, span]) => [
        name,
        { ...span, wall: this.#wall.spans.get(name)?.all ?? Number.NaN },
      ]),
    );
  }
}

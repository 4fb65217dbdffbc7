import type { SleepNode } from "../../src/index.js";
import type { Random } from "./random.js";

/** An instruction that needs a page. */
export interface Access {
  readonly gfn: number;
  readonly cpl: 0 | 3;
  readonly interruptsOff: boolean;
}

/** A program: pages, one after the other. */
export class Task {
  done = 0;
  node: SleepNode<number> | null = null;

  constructor(
    readonly id: number,
    readonly accesses: readonly Access[],
  ) {}

  get finished(): boolean {
    return this.done === this.accesses.length;
  }

  get access(): Access | undefined {
    return this.accesses[this.done];
  }
}

export const PAGES = 24;

/** Mostly in user mode; some in the kernel, some of them with interrupts off. */
export function randomTask(id: number, random: Random): Task {
  const access = (): Access => {
    const cpl = random.once(4) ? 0 : 3;
    return { gfn: random.below(PAGES), cpl, interruptsOff: cpl === 0 && random.once(2) };
  };
  return new Task(id, Array.from({ length: 4 + random.below(8) }, access));
}

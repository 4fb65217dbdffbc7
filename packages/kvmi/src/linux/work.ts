import { turn } from "../turn.js";
import { GuestOsError } from "./errors.js";

/** Something that takes long: stops wherever others may have their turn. */
export type Work<T> = Generator<undefined, T, undefined>;

/** Time of the event loop that is taken at once, ms. */
const TURN_MS = 5;
/** Steps between two stops, some nanoseconds each. */
const STEPS = 4096;

/** Does all of it at once. */
export function finish<T>(work: Work<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** Does it in turns of the event loop that others have too. */
export async function inTurns<T>(work: Work<T>): Promise<T> {
  for (let began = performance.now(); ; ) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (performance.now() - began < TURN_MS) continue;
    await turn();
    began = performance.now();
  }
}

/** Counts the steps of some work: says when to stop for others, and when a guest has been given enough of them. */
export class Pace {
  readonly #what: string;
  #left: number;
  #steps = 0;

  /** @param most steps in all */
  constructor(what: string, most: number) {
    this.#what = what;
    this.#left = most;
  }

  /** Counts `steps`. True: time for others. @throws {GuestOsError} when that was too many */
  due(steps: number): boolean {
    this.#left -= steps;
    if (this.#left < 0) throw new GuestOsError("implausible", `${this.#what} take longer to find than any kernel's do`);
    this.#steps += steps;
    if (this.#steps < STEPS) return false;
    this.#steps = 0;
    return true;
  }
}

import { ObjectError } from "../errors.js";

/** Steps for one program: comparing types of a kernel takes some thousands, and a million is much. */
const MOST_STEPS = 4_000_000;

/** Counts the steps of comparing types, which may refer to each other in ways that never end. */
export class Budget {
  #left: number;

  constructor(most = MOST_STEPS) {
    this.#left = most;
  }

  /** @throws {ObjectError} limit */
  spend(steps = 1): void {
    this.#left -= steps;
    if (this.#left < 0) throw new ObjectError("limit", "types of CO-RE take too many steps to compare");
  }
}

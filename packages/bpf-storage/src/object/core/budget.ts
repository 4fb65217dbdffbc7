import { ObjectError } from "../errors.js";

/** Steps for a program, and those for each relocation more: finding a field takes about as many as its structure has members. */
const MOST_STEPS = 1_000_000;
const STEPS_EACH = 1000;

/** Counts the steps of comparing types, which may refer to each other in ways that never end. */
export class Budget {
  #left: number;

  /** @param relocations that it is for */
  constructor(relocations = 0) {
    this.#left = MOST_STEPS + STEPS_EACH * relocations;
  }

  /** @throws {ObjectError} limit */
  spend(steps = 1): void {
    this.#left -= steps;
    if (this.#left < 0) throw new ObjectError("limit", "types of CO-RE take too many steps to compare");
  }
}

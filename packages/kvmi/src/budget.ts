import { afterTurn } from "./turn.js";

/** A message counts for 1, and for one more with each so many bytes. */
const BYTES = 256;
/** Between two looks at the clock. Messages that take long, 511 pages or a view's end, take some ms in such numbers. */
const UNITS = 128;
/** Time after which the others have their turn, ms. */
const TURN_MS = 4;

/**
 * How much of what floods in may be dealt with in one turn of the event loop. Who sends one message after another does not notice: the
 * clock is looked at once in {@link UNITS}.
 */
export class Budget {
  readonly #goOn: () => void;
  #spent = 0;
  #since = 0;

  /** @param goOn called in a later turn when {@link spend} has said no */
  constructor(goOn: () => void) {
    this.#goOn = goOn;
  }

  /** A message with `size` bytes has been dealt with. False: that is all for this turn. */
  spend(size: number): boolean {
    this.#spent += 1 + Math.floor(size / BYTES);
    if (this.#spent < UNITS) return true;
    this.#spent = 0;
    if (performance.now() - this.#since < TURN_MS) return true;
    afterTurn(() => {
      this.#since = performance.now();
      this.#goOn();
    });
    return false;
  }
}

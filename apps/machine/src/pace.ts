import { turn } from "./turn.js";

/** Host time after which long work gives the event loop a turn, ms. */
const TURN_MS = 10;

/** Long work done in pieces: between them the event loop gets its turns, and whoever wants the work ended is heard. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  #since = performance.now();

  /** @param signal ends the work: {@link Pace.breathe} throws its reason */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** To be called after every piece of a few ms. @throws the signal's reason once it is aborted */
  async breathe(): Promise<void> {
    if (performance.now() - this.#since >= TURN_MS) {
      await turn();
      this.#since = performance.now();
    }
    this.check();
  }

  /** @throws the signal's reason once it is aborted */
  check(): void {
    this.#signal?.throwIfAborted();
  }
}

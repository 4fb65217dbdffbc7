import type { Clock, Timer } from "./ports.js";

/** Shortest distance of two THRE interrupts, ns: 64 KB/s for a driver that sends 16 bytes an interrupt, more than any such line carries. */
const THRE_GAP = 250_000;

/** Keeps THRE interrupts apart. */
export class ThreGap {
  /** Virtual time before which there is no other. */
  next = 0;
  readonly #clock: Clock | undefined;
  readonly #due: () => void;
  #timer: Timer | null = null;

  /**
   * @param clock without it each comes at once
   * @param due called when one that was not due is
   */
  constructor(clock: Clock | undefined, due: () => void) {
    this.#clock = clock;
    this.#due = due;
  }

  /** Whether there may be one now; if not, there will be one in time. */
  isDue(): boolean {
    if (this.#clock === undefined) return true;
    if (this.#timer !== null) return false;
    const now = this.#clock.now();
    if (now >= this.next) {
      this.next = now + THRE_GAP;
      return true;
    }
    this.#timer = this.#clock.schedule(this.next, this.#elapsed);
    return false;
  }

  /** One is not due yet. */
  get waiting(): boolean {
    return this.#timer !== null;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  readonly #elapsed = (): void => {
    this.#timer = null;
    this.#due();
  };
}

const SILENT_MS = 1000;
const TICK_MS = 250;

/** A line on a terminal that says what takes long, with its seconds; it is gone at the end. */
export class Progress {
  readonly #what: string;
  readonly #out: NodeJS.WriteStream;
  readonly #began = performance.now();
  readonly #timer: NodeJS.Timeout | undefined;
  #shown = false;

  /**
   * @param busy the work keeps the event loop busy, so the line is shown at once rather than after a second
   * @param out nothing is shown unless it is a terminal
   */
  constructor(what: string, { busy = false, out = process.stderr } = {}) {
    this.#what = what;
    this.#out = out;
    if (!out.isTTY) return;
    if (busy) this.#paint(0);
    this.#timer = setInterval(() => this.#paint(SILENT_MS), TICK_MS);
    this.#timer.unref();
  }

  /** Removes the line. Calling it again does nothing. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#shown) this.#out.write("\r\x1b[K");
    this.#shown = false;
  }

  #paint(silentMs: number): void {
    const ms = performance.now() - this.#began;
    if (ms < silentMs) return;
    this.#shown = true;
    this.#out.write(`\r\x1b[K${this.#what} \x1b[2m${Math.round(ms / 1000)} s\x1b[0m`);
  }
}

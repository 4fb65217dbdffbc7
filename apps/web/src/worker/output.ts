/** Bytes on their way to the screen at which the guest's transmitter is held, and below which it goes on. */
const MOST = 256 * 1024;
const FEW = 64 * 1024;

/**
 * The way of the console's output to the page: as fast as the page shows it, with a guest that waits when it is faster. A busy guest is heard of every
 * few bytes; what it writes until the Worker's next turn, 10 ms at most, is one message, as each keeps the page for some time.
 */
export class Output {
  readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly #hold: () => () => void;
  #gathered: Uint8Array[] = [];
  #underway = 0;
  #release: (() => void) | null = null;

  /** @param hold makes the guest wait, until the function it returns is called */
  constructor(send: (bytes: Uint8Array<ArrayBuffer>) => void, hold: () => () => void) {
    this.#send = send;
    this.#hold = hold;
  }

  /** The guest wrote `bytes`. */
  push(bytes: Uint8Array): void {
    this.#underway += bytes.length;
    // The machine works without a pause until the Worker's turn ends.
    if (this.#gathered.push(bytes) === 1) queueMicrotask(() => this.#pass());
    if (this.#underway >= MOST) this.#release ??= this.#hold();
  }

  #pass(): void {
    const pieces = this.#gathered;
    this.#gathered = [];
    const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    this.#send(bytes);
  }

  /** `count` bytes more are on the screen. */
  shown(count: number): void {
    this.#underway -= count;
    if (this.#underway > FEW) return;
    this.#release?.();
    this.#release = null;
  }
}

/** Bytes on their way to the screen at which the guest's transmitter is held, and below which it goes on. */
const MOST = 256 * 1024;
const FEW = 64 * 1024;

/** The way of the console's output to the page: as fast as the page shows it, with a guest that waits when it is faster. */
export class Output {
  readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly #hold: () => () => void;
  #underway = 0;
  #release: (() => void) | null = null;

  /** @param hold makes the guest wait, until the function it returns is called */
  constructor(send: (bytes: Uint8Array<ArrayBuffer>) => void, hold: () => () => void) {
    this.#send = send;
    this.#hold = hold;
  }

  /** The guest wrote `bytes`, which are handed over. */
  push(bytes: Uint8Array<ArrayBuffer>): void {
    this.#underway += bytes.length;
    this.#send(bytes);
    if (this.#underway >= MOST) this.#release ??= this.#hold();
  }

  /** `count` bytes more are on the screen. */
  shown(count: number): void {
    this.#underway -= count;
    if (this.#underway > FEW) return;
    this.#release?.();
    this.#release = null;
  }
}

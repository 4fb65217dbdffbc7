/** Bytes that are handed to the Worker at a time. */
const PIECE = 16 * 1024;

/**
 * Types into the guest: a piece at a time, the next one when the guest is hungry. What is pasted meanwhile waits here, however much it is, and nothing
 * is lost.
 */
export class Typist {
  readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #ready = true;

  constructor(send: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#send = send;
  }

  type(bytes: Uint8Array<ArrayBuffer>): void {
    for (let at = 0; at < bytes.length; at += PIECE) this.#waiting.push(bytes.slice(at, at + PIECE));
    this.#next();
  }

  /** The guest takes more. */
  hungry(): void {
    this.#ready = true;
    this.#next();
  }

  #next(): void {
    const piece = this.#ready ? this.#waiting.shift() : undefined;
    if (piece === undefined) return;
    this.#ready = false;
    this.#send(piece);
  }
}

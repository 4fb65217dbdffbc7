import type { Disposer } from "../emitter.js";
import { unblock } from "./unblock.js";

/** Bytes that are kept for a reader that is slow or has stopped reading; beyond, the guest's transmitter waits. */
const PENDING_MAX = 2 ** 20;

/**
 * A way out of the program that never makes it wait: what the reader does not take is kept, up to a limit at which whoever sends is held
 * until all has been taken.
 */
export class Outlet {
  readonly #stream: NodeJS.WriteStream;
  readonly #hold: () => Disposer;
  #release: Disposer | null = null;

  /** @param hold makes the sender wait, until the function it returns is called */
  constructor(stream: NodeJS.WriteStream, hold: () => Disposer) {
    this.#stream = stream;
    this.#hold = hold;
    unblock(stream);
  }

  write(bytes: Uint8Array | string): void {
    if (this.#stream.writable === false) return;
    this.#stream.write(bytes);
    if (this.#stream.writableLength < PENDING_MAX || this.#release !== null) return;
    this.#release = this.#hold();
    this.#stream.once("drain", () => {
      this.#release?.();
      this.#release = null;
    });
  }

  /** Resolves when all has been taken, or nobody takes anything any more. */
  flushed(): Promise<void> {
    if (this.#stream.writableLength === 0 || !this.#stream.writable) return Promise.resolve();
    return new Promise((resolve) => void this.#stream.write("", () => resolve()));
  }
}

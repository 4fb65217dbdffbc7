import type { Uart16550A } from "@vm/devices";
import type { Disposer } from "./emitter.js";

/**
 * The far end of a serial line on which programs talk, not people: every byte is heard at the instruction that sends it, and an
 * answer given at once is a function of what was sent. So a conversation repeats exactly where the machine does.
 */
export class SerialLine {
  readonly #uart: () => Uart16550A;
  #listener: ((byte: number) => void) | null = null;
  readonly #holds = new Set<object>();

  /** @internal */
  constructor(uart: () => Uart16550A) {
    this.#uart = uart;
  }

  /** Gives every byte of the guest to `listener` from now on, instead of to the one before. Returns the function that ends it. */
  listen(listener: (byte: number) => void): Disposer {
    this.#listener = listener;
    return () => {
      if (this.#listener === listener) this.#listener = null;
    };
  }

  /** Sends bytes to the guest. All are taken at once and wait until the guest reads: the two sides agree on how many there can be. */
  send(bytes: Uint8Array): void {
    this.#uart().receive(bytes);
  }

  /** Bytes that were sent and wait until the guest reads them. */
  get backlog(): number {
    return this.#uart().backlog;
  }

  /** Takes nothing more from the guest, whose transmitter stays full, until the function that is returned is called. */
  hold(): Disposer {
    const hold = {};
    this.#holds.add(hold);
    this.#uart().hold(true);
    return () => {
      this.#holds.delete(hold);
      this.#uart().hold(this.#holds.size > 0);
    };
  }

  /** @internal The guest sent a byte. */
  transmit(byte: number): void {
    this.#listener?.(byte);
  }
}

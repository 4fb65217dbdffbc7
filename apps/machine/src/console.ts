import type { Disposer } from "./emitter.js";

/** Bytes the guest may write before they are passed on within a slice. */
const CHUNK = 4096;

/** The far end of the guest's serial line (COM1). */
export class MachineConsole {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #endings = new Set<() => void>();
  readonly #chunk = new Uint8Array(CHUNK);
  #used = 0;
  #ended = false;

  /** @param send puts bytes on the line towards the guest */
  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** Calls `listener` with what the guest sends, in pieces that are the listener's to keep. Returns the function that ends it. */
  onOutput(listener: (bytes: Uint8Array) => void): Disposer {
    const own = (bytes: Uint8Array): void => listener(bytes);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** Types `data` (a string as UTF-8). All of it is taken at once and waits until the guest reads. */
  write(data: Uint8Array | string): void {
    this.#send(typeof data === "string" ? new TextEncoder().encode(data) : data);
  }

  /** What the guest sends from now on, until the machine ends. */
  get readable(): ReadableStream<Uint8Array> {
    let leave: Disposer = () => undefined;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        if (this.#ended) {
          controller.close();
          return;
        }
        const dispose = this.onOutput((bytes) => controller.enqueue(bytes));
        const close = (): void => {
          dispose();
          controller.close();
        };
        this.#endings.add(close);
        leave = () => {
          dispose();
          this.#endings.delete(close);
        };
      },
      cancel: () => leave(),
    });
  }

  /** A stream that types what is written to it. Closing it does nothing to the guest. */
  get writable(): WritableStream<Uint8Array | string> {
    return new WritableStream<Uint8Array | string>({ write: (data) => this.write(data) });
  }

  /** @internal The guest sent a byte. */
  transmit(byte: number): void {
    this.#chunk[this.#used++] = byte;
    if (this.#used === CHUNK) this.flush();
  }

  /** @internal Passes on what the guest sent. */
  flush(): void {
    if (this.#used === 0) return;
    const bytes = this.#chunk.slice(0, this.#used);
    this.#used = 0;
    for (const listener of this.#listeners) listener(bytes.slice());
  }

  /** @internal The machine has ended. */
  end(): void {
    this.flush();
    this.#ended = true;
    for (const ending of this.#endings) ending();
    this.#endings.clear();
  }
}

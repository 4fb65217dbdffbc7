import { read } from "@vm/devices";
import type { Disposer } from "./emitter.js";
import type { SerialLine } from "./serial-line.js";

/** Bytes the guest may write before they are passed on within a slice. */
const CHUNK = 4096;
/** Bytes that a stream of output keeps for a reader that is slow; beyond, the guest's transmitter waits. */
const READABLE_LIMIT = 65536;
/** Bytes of input that wait for the guest before whoever types is asked to wait. */
const INPUT_LIMIT = 65536;

/** Bytes of the line that is kept for who comes later. */
const LINE_MOST = 512;
const LINE_FEED = 10;

export interface ConsoleState {
  /** What the guest sent and nobody has been given yet. */
  readonly unseen: Uint8Array;
  /** See {@link MachineConsole.line}. */
  readonly line: Uint8Array;
}

const readConsole = read.record<ConsoleState>({ unseen: read.bytes(0, CHUNK - 1), line: read.bytes(0, LINE_MOST) });

/** The far end of the guest's serial line (COM1). */
export class MachineConsole {
  readonly #line: SerialLine;
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #endings = new Set<() => void>();
  readonly #typists: (() => void)[] = [];
  readonly #chunk = new Uint8Array(CHUNK);
  #used = 0;
  #prompt: number[] = [];
  #ended = false;

  /** @internal */
  constructor(line: SerialLine) {
    this.#line = line;
  }

  /** Calls `listener` with what the guest sends, in pieces that are the listener's to keep. Returns the function that ends it. */
  onOutput(listener: (bytes: Uint8Array) => void): Disposer {
    const own = (bytes: Uint8Array): void => listener(bytes);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /**
   * Types `data` (a string as UTF-8). All of it is taken at once and waits until the guest reads. Who has much to type waits for
   * {@link hungry} in between.
   */
  write(data: Uint8Array | string): void {
    this.#line.send(typeof data === "string" ? new TextEncoder().encode(data) : data);
  }

  /** Bytes that were typed and not yet read by the guest. */
  get backlog(): number {
    return this.#line.backlog;
  }

  /** Resolves when fewer than 64 KiB wait for the guest, or the machine has ended. */
  hungry(): Promise<void> {
    if (this.#ended || this.backlog < INPUT_LIMIT) return Promise.resolve();
    return new Promise((resolve) => void this.#typists.push(resolve));
  }

  /** What stands behind the last line feed, its last 512 bytes: the guest's prompt, for who comes when it waits. */
  get line(): Uint8Array {
    return Uint8Array.from(this.#prompt);
  }

  /** Takes nothing more from the guest, whose transmitter stays full, until the function that is returned is called. */
  hold(): Disposer {
    return this.#line.hold();
  }

  /** What the guest sends from now on, until the machine ends. Its transmitter waits while 64 KiB have not been read. */
  get readable(): ReadableStream<Uint8Array> {
    let leave: Disposer = () => undefined;
    let release: Disposer | null = null;
    const free = (): void => {
      release?.();
      release = null;
    };
    const source = {
      start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
        if (this.#ended) {
          controller.close();
          return;
        }
        const dispose = this.onOutput((bytes) => {
          controller.enqueue(bytes);
          if ((controller.desiredSize ?? 0) <= 0) release ??= this.hold();
        });
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
      pull: free,
      cancel: () => {
        leave();
        free();
      },
    };
    return new ReadableStream(source, { highWaterMark: READABLE_LIMIT, size: (bytes) => bytes?.length ?? 0 });
  }

  /** A stream that types what is written to it, as fast as the guest reads. Closing it does nothing to the guest. */
  get writable(): WritableStream<Uint8Array | string> {
    return new WritableStream<Uint8Array | string>({
      write: (data) => {
        this.write(data);
        return this.hungry();
      },
    });
  }

  /** @internal The guest sent a byte. */
  transmit(byte: number): void {
    this.#chunk[this.#used++] = byte;
    if (this.#used === CHUNK) this.flush();
  }

  /** @internal Passes on what the guest sent, and lets those type who wait for it. */
  flush(): void {
    if (this.#typists.length > 0 && (this.#ended || this.backlog < INPUT_LIMIT))
      for (const resolve of this.#typists.splice(0)) resolve();
    if (this.#used === 0) return;
    const bytes = this.#chunk.slice(0, this.#used);
    this.#used = 0;
    const begins = bytes.lastIndexOf(LINE_FEED) + 1;
    this.#prompt = [...(begins > 0 ? [] : this.#prompt), ...bytes.subarray(begins)].slice(-LINE_MOST);
    for (const listener of this.#listeners) listener(bytes.slice());
  }

  /** @internal */
  save(): ConsoleState {
    return { unseen: this.#chunk.slice(0, this.#used), line: this.line };
  }

  /** @internal @throws {StateError} */
  restore(state: ConsoleState): void {
    const { unseen, line } = readConsole(state);
    this.#prompt = [...line];
    this.#used = 0;
    for (const byte of unseen) this.transmit(byte);
  }

  /** @internal The machine has ended. */
  end(): void {
    this.#ended = true;
    this.flush();
    for (const ending of this.#endings) ending();
    this.#endings.clear();
  }
}

import { Fifo } from "./fifo.js";

/** What a transport tells its user. */
export interface TransportSink {
  /** The bytes are overwritten when this returns: keep copies only. */
  data(bytes: Uint8Array): void;
  /** Everything written so far has been taken; only called after a `write` that returned false. */
  drained(): void;
  /** The connection is gone, for whatever reason. Once; nothing comes after it. */
  closed(): void;
}

/** A reliable stream of bytes in both directions. */
export interface Transport {
  /** Sets who is told. Nothing is lost that came before. Once. */
  start(sink: TransportSink): void;
  /** Sends all of `bytes`, which the transport then owns. False: the peer is slow, stop writing until `drained`. After the end it does nothing. */
  write(bytes: Uint8Array): boolean;
  /** No more `data` until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends the connection at once. `closed` follows, not from inside this call. */
  close(): void;
}

/** Bytes on their way beyond which a local transport asks its writer to wait. */
const HIGH_WATER = 256 * 1024;

/** Two connected transports in this program, for tests and for tools that live in the same page. Bytes arrive in a later microtask. */
export function transportPair(): readonly [Transport, Transport] {
  const a = new LocalTransport();
  const b = new LocalTransport();
  a.peer = b;
  b.peer = a;
  return [a, b];
}

class LocalTransport implements Transport {
  peer: LocalTransport | null = null;
  #sink: TransportSink | null = null;
  #paused = false;
  #ended = false;
  #scheduled = false;
  readonly #arrived = new Fifo<Uint8Array>();
  /** Bytes in there. */
  #waiting = 0;
  /** The other side has been asked to wait. */
  #crowded = false;

  start(sink: TransportSink): void {
    this.#sink = sink;
    this.#schedule();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ended || this.peer === null) return true;
    return this.peer.#arrive(bytes);
  }

  #arrive(bytes: Uint8Array): boolean {
    this.#arrived.push(bytes);
    this.#waiting += bytes.length;
    this.#schedule();
    this.#crowded ||= this.#waiting > HIGH_WATER;
    return !this.#crowded;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  close(): void {
    if (this.peer !== null) this.peer.#end();
    this.#arrived.clear();
    this.#waiting = 0;
    this.#paused = false;
    this.#end();
    // Nobody reads any more what the other side may be waiting for.
    queueMicrotask(() => this.#tellDrained());
  }

  #tellDrained(): void {
    const { peer } = this;
    if (!this.#crowded || this.#arrived.size > 0 || peer === null) return;
    this.#crowded = false;
    peer.#sink?.drained();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const sink = this.#sink;
    if (sink === null) return;
    while (!this.#paused) {
      const bytes = this.#arrived.shift();
      if (bytes === undefined) break;
      this.#waiting -= bytes.length;
      sink.data(bytes);
    }
    this.#tellDrained();
    if (!this.#ended || this.#paused) return;
    this.#sink = null;
    sink.closed();
  }
}

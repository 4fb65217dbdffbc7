import { header, MAX_PAYLOAD } from "./codec/wire.js";
import { Fifo } from "./fifo.js";
import { bytesOf, Slab } from "./slab.js";

/** One message as it came. */
export interface Message {
  readonly id: number;
  readonly seq: number;
  /** Payload bytes that came. */
  readonly size: number;
  /** The payload, zeros behind it up to what the reader asked for. Not shared with anything. */
  readonly payload: Uint8Array;
  readonly view: DataView;
}

/** What takes messages apart. */
export interface MessageSink {
  /** How many bytes of payload, at least, a message of this id must have; shorter ones are filled up with zeros. */
  room(id: number): number;
  /** A whole message. False: take no more; the rest of the stream stays where it is until `resume`. */
  message(message: Message): boolean;
  /** A header announced more than fits a message. */
  oversized(size: number): void;
}

const HEADER = header.size;
const ID = header.offset("id");
const SIZE = header.offset("size");
const SEQ = header.offset("seq");

/** Puts messages together from a stream that comes in pieces of any size. */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #head = new Uint8Array(header.size);
  readonly #headView = new DataView(this.#head.buffer);
  readonly #slab = new Slab();
  #have = 0;
  #message: Message | null = null;
  #dead = false;
  #stopped = false;
  readonly #rest = new Fifo<Uint8Array>();

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes of the stream; they can be overwritten afterwards. */
  push(bytes: Uint8Array): void {
    const taken = this.#stopped ? 0 : this.#take(bytes);
    if (taken < bytes.length && !this.#dead) this.#rest.push(bytes.slice(taken));
  }

  /** Takes what there is until it is stopped. @returns the number of bytes taken */
  #take(bytes: Uint8Array): number {
    let at = 0;
    while (!this.#dead && !this.#stopped && (at < bytes.length || this.#complete()))
      at += this.#message === null ? this.#takeHead(bytes, at) : this.#takeBody(this.#message, bytes, at);
    return at;
  }

  /** Nothing is taken any more. */
  end(): void {
    this.#dead = true;
    this.#rest.clear();
  }

  /** Goes on after a `message` that returned false. */
  resume(): void {
    this.#stopped = false;
    for (let bytes = this.#rest.first; bytes !== undefined && !this.#stopped; bytes = this.#rest.first) {
      const taken = this.#take(bytes);
      if (this.#dead) return;
      if (taken < bytes.length) this.#rest.replaceFirst(bytes.subarray(taken));
      else this.#rest.shift();
    }
  }

  /** A message without payload is complete with its header. */
  #complete(): boolean {
    return this.#message !== null && this.#message.size === 0;
  }

  #takeHead(bytes: Uint8Array, at: number): number {
    const n = Math.min(HEADER - this.#have, bytes.length - at);
    for (let k = 0; k < n; k++) this.#head[this.#have + k] = bytes[at + k] as number;
    this.#have += n;
    if (this.#have < HEADER) return n;
    this.#have = 0;
    const size = this.#headView.getUint16(SIZE, true);
    if (size > MAX_PAYLOAD) {
      this.end();
      this.#sink.oversized(size);
      return n;
    }
    const id = this.#headView.getUint16(ID, true);
    const view = this.#slab.take(Math.max(size, this.#sink.room(id)));
    this.#message = { id, size, seq: this.#headView.getUint32(SEQ, true), payload: bytesOf(view), view };
    return n;
  }

  #takeBody(message: Message, bytes: Uint8Array, at: number): number {
    const n = Math.min(message.size - this.#have, bytes.length - at);
    message.payload.set(bytes.subarray(at, at + n), this.#have);
    this.#have += n;
    if (this.#have < message.size) return n;
    this.#have = 0;
    this.#message = null;
    if (!this.#sink.message(message)) this.#stopped = true;
    return n;
  }
}

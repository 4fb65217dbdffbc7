import { HEAD_SIZE, PAYLOAD_MAX, Say } from "./agent-abi.js";

/** One frame of the agent. */
export interface Frame {
  readonly type: number;
  readonly data: Uint8Array;
}

/** How much of a frame there is. */
export interface FrameReaderState {
  readonly tag: Uint8Array;
  /** What has come of the head. */
  readonly head: Uint8Array;
  /** What has come of the data; null while that of the head is not over. */
  readonly data: Uint8Array | null;
}

/**
 * Finds the agent's frames on a line that others in the guest may write to as well: what does not begin with the tag is no frame and is
 * passed over, and so is a head that no agent writes. It holds one frame, so at most {@link PAYLOAD_MAX} bytes.
 */
export class FrameReader {
  #tag: Uint8Array;
  readonly #head = new Uint8Array(HEAD_SIZE);
  readonly #view = new DataView(this.#head.buffer);
  #used = 0;
  #data: Uint8Array | null = null;
  #filled = 0;

  /** @param tag the eight bytes that open a frame */
  constructor(tag: Uint8Array) {
    this.#tag = tag;
  }

  /** From now on frames open with `tag`. */
  retag(tag: Uint8Array): void {
    this.#tag = tag;
    this.#used = 0;
    this.#data = null;
  }

  save(): FrameReaderState {
    return {
      tag: this.#tag.slice(),
      head: this.#head.slice(0, this.#used),
      data: this.#data?.slice(0, this.#filled) ?? null,
    };
  }

  restore({ tag, head, data }: FrameReaderState): void {
    this.retag(tag.slice());
    for (const byte of [...head, ...(data ?? [])]) this.push(byte);
  }

  /** Takes a byte; returns the frame it ends, if it ends one. */
  push(byte: number): Frame | null {
    if (this.#data !== null) {
      this.#data[this.#filled++] = byte;
      return this.#filled === this.#data.length ? this.#finish(this.#data) : null;
    }
    this.#head[this.#used++] = byte;
    if (this.#used <= this.#tag.length) {
      while (this.#used > 0 && !this.#opens()) this.#shift();
      return null;
    }
    if (this.#used < HEAD_SIZE) return null;
    const type = this.#view.getUint32(8, true);
    const length = this.#view.getUint32(12, true);
    if (type < Say.Hello || type > Say.Exit || length > PAYLOAD_MAX) {
      this.#resync();
      return null;
    }
    this.#data = new Uint8Array(length);
    this.#filled = 0;
    return length === 0 ? this.#finish(this.#data) : null;
  }

  #finish(data: Uint8Array): Frame {
    const type = this.#view.getUint32(8, true);
    this.#used = 0;
    this.#data = null;
    return { type, data };
  }

  /** Whether what is there can be the start of a tag. */
  #opens(): boolean {
    for (let k = 0; k < Math.min(this.#used, this.#tag.length); k++) if (this.#head[k] !== this.#tag[k]) return false;
    return true;
  }

  #shift(): void {
    this.#head.copyWithin(0, 1, this.#used);
    this.#used--;
  }

  /** The head is none: looks for a tag in what came after its first byte. */
  #resync(): void {
    do this.#shift();
    while (this.#used > 0 && !this.#opens());
  }
}

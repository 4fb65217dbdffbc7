/** Bytes of the number in front. */
const NUMBER = 4;
const NONE = new Uint8Array(0);

/** A structure that begins with its own size, a u32, and comes in pieces of any size: each side's part of the handshake. */
export class Announced {
  readonly #least: number;
  readonly #most: number;
  readonly #number = new Uint8Array(NUMBER);
  #bytes: Uint8Array | null = null;
  #have = 0;

  /** @param least, most sizes that are taken; nothing is stored of a structure of another size */
  constructor(least: number, most: number) {
    this.#least = least;
    this.#most = most;
  }

  /** The size it says it has; null: not yet known. */
  get size(): number | null {
    return this.#have < NUMBER ? null : new DataView(this.#number.buffer).getUint32(0, true);
  }

  /** Whether the size is known and one that is taken. */
  get valid(): boolean {
    const { size } = this;
    return size !== null && size >= this.#least && size <= this.#most;
  }

  /** The whole structure, null until it is there. */
  get complete(): Uint8Array | null {
    return this.#bytes !== null && this.#have === this.#bytes.length ? this.#bytes : null;
  }

  /** Takes the next bytes of the stream; returns those behind the structure. */
  push(bytes: Uint8Array): Uint8Array {
    let at = 0;
    while (this.#have < NUMBER && at < bytes.length) this.#number[this.#have++] = bytes[at++] as number;
    if (!this.valid) return NONE;
    if (this.#bytes === null) {
      this.#bytes = new Uint8Array(this.size ?? 0);
      this.#bytes.set(this.#number);
    }
    const n = Math.min(this.#bytes.length - this.#have, bytes.length - at);
    this.#bytes.set(bytes.subarray(at, at + n), this.#have);
    this.#have += n;
    return bytes.subarray(at + n);
  }
}

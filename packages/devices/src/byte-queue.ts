/** Bytes that wait for their reader, in chunks as they came. Adding and removing cost what they move, however many chunks wait. */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  /** The oldest chunk and the byte of it that is next. */
  #first = 0;
  #offset = 0;
  #bytes = 0;

  /** How many bytes wait. */
  get length(): number {
    return this.#bytes;
  }

  /** Adds `bytes`, which are the queue's from now on. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Puts `bytes`, which are the queue's from now on, in front of the oldest. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const rest = this.#chunks.slice(this.#first);
    if (rest[0] !== undefined) rest[0] = rest[0].subarray(this.#offset);
    this.#chunks = [bytes, ...rest];
    this.#first = this.#offset = 0;
    this.#bytes += bytes.length;
  }

  /** Removes the oldest byte and returns it; -1 if there is none. */
  shift(): number {
    const byte = this.#chunks[this.#first]?.[this.#offset];
    if (byte === undefined) return -1;
    this.drop(1);
    return byte;
  }

  /** A copy of the oldest `count` bytes, or of all if there are fewer. */
  peek(count: number): Uint8Array {
    const copy = new Uint8Array(Math.min(count, this.#bytes));
    let from = this.#offset;
    for (let at = 0, k = this.#first; at < copy.length; k++) {
      const part = (this.#chunks[k] as Uint8Array).subarray(from, from + copy.length - at);
      copy.set(part, at);
      at += part.length;
      from = 0;
    }
    return copy;
  }

  /** Removes the oldest `count` bytes, at most all. */
  drop(count: number): void {
    this.#bytes = Math.max(0, this.#bytes - count);
    this.#offset += count;
    for (
      let chunk = this.#chunks[this.#first];
      chunk && this.#offset >= chunk.length;
      chunk = this.#chunks[this.#first]
    ) {
      this.#offset -= chunk.length;
      this.#first++;
    }
    if (this.#bytes === 0) this.clear();
    else if (this.#first > this.#chunks.length / 2) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
  }

  clear(): void {
    this.#chunks = [];
    this.#first = this.#offset = this.#bytes = 0;
  }
}

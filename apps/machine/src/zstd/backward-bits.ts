/** Bits of bytes that are read from their end: the highest one set of the last byte only marks the end (RFC 8878, 4.1). */
export class BackwardBits {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  /** Bits that are left. */
  left: number;

  /** Reads bytes `start` to `end` of `bytes`. @throws {RangeError} if there is no mark */
  constructor(bytes: Uint8Array, start: number, end: number) {
    const last = end > start ? (bytes[end - 1] as number) : 0;
    if (last === 0) throw new RangeError(`no mark behind the bits that end at ${end}`);
    this.#bytes = bytes;
    this.#start = start;
    this.left = 8 * (end - start) - 1 - Math.clz32(last) + 24;
  }

  /** The next `count` bits, up to 32. @throws {RangeError} if there are fewer */
  read(count: number): number {
    if (count > 16) return this.read(16) * 2 ** (count - 16) + this.read(count - 16);
    this.left -= count;
    if (this.left < 0) throw new RangeError("bits are cut short");
    return (this.#word() >>> (this.left & 7)) & ((1 << count) - 1);
  }

  /** The next `count` bits, up to 16, which stay; zeros for those that are not there. */
  peek(count: number): number {
    const { left } = this;
    if (left < count) return left <= 0 ? 0 : this.#look(left, left) << (count - left);
    return this.#look(left, count);
  }

  /** Takes what was peeked at; {@link left} is below 0 if it was not there. */
  skip(count: number): void {
    this.left -= count;
  }

  #look(left: number, count: number): number {
    this.left = left - count;
    const bits = (this.#word() >>> (this.left & 7)) & ((1 << count) - 1);
    this.left = left;
    return bits;
  }

  /** 24 bits from the byte on in which the next bit to come lies. */
  #word(): number {
    const bytes = this.#bytes;
    const at = this.#start + (this.left >>> 3);
    if (at + 2 < bytes.length) {
      return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
    }
    return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  }
}

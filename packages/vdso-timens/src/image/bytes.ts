/** Bytes that are appended to, little-endian. */
export class ByteWriter {
  readonly #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  u8(...values: number[]): this {
    for (const value of values) this.#bytes.push(value & 0xff);
    return this;
  }

  u16(...values: number[]): this {
    for (const value of values) this.u8(value, value >> 8);
    return this;
  }

  u32(...values: number[]): this {
    for (const value of values) this.u16(value, value >> 16);
    return this;
  }

  /** Numbers from 0 to 2^53. */
  u64(...values: number[]): this {
    for (const value of values) this.u32(value, Math.floor(value / 0x100000000));
    return this;
  }

  /** ASCII and the zero behind it. */
  text(text: string): this {
    for (const char of text) this.u8(char.charCodeAt(0));
    return this.u8(0);
  }

  /** Zeros up to a multiple of `bytes`. */
  align(bytes: number): this {
    while (this.length % bytes !== 0) this.u8(0);
    return this;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }
}

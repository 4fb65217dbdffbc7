/** Growable byte buffer with the LEB128 forms of the WebAssembly binary format (core spec 5.2). */
export class Bytes {
  #buffer: Uint8Array;
  /** Bytes written so far. */
  length = 0;

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity);
  }

  #grow(needed: number): void {
    const next = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    next.set(this.#buffer.subarray(0, this.length));
    this.#buffer = next;
  }

  u8(value: number): void {
    if (this.length === this.#buffer.length) this.#grow(this.length + 1);
    this.#buffer[this.length++] = value;
  }

  /** Unsigned LEB128 of a u32. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.u8(rest);
  }

  /** Signed LEB128 of an i32. */
  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.u8(low);
        return;
      }
      this.u8(low | 0x80);
    }
  }

  /** Signed LEB128 of an i64 given as two 32-bit halves. */
  s64(lo: number, hi: number): void {
    let l = lo | 0;
    let h = hi | 0;
    for (;;) {
      const low = l & 0x7f;
      l = (l >>> 7) | (h << 25);
      h >>= 7;
      if ((l === 0 && h === 0 && (low & 0x40) === 0) || (l === -1 && h === -1 && (low & 0x40) !== 0)) {
        this.u8(low);
        return;
      }
      this.u8(low | 0x80);
    }
  }

  /** Little-endian IEEE 754 single. */
  f32(value: number): void {
    scratch.setFloat32(0, value, true);
    this.raw(scratchBytes.subarray(0, 4));
  }

  /** Little-endian IEEE 754 double. */
  f64(value: number): void {
    scratch.setFloat64(0, value, true);
    this.raw(scratchBytes.subarray(0, 8));
  }

  raw(bytes: Uint8Array): void {
    const end = this.length + bytes.length;
    if (end > this.#buffer.length) this.#grow(end);
    this.#buffer.set(bytes, this.length);
    this.length = end;
  }

  append(other: Bytes): void {
    this.raw(other.#buffer.subarray(0, other.length));
  }

  /** A vector prefixed with its length in bytes. */
  sized(other: Bytes): void {
    this.u32(other.length);
    this.append(other);
  }

  /** UTF-8 name prefixed with its length in bytes. */
  name(text: string): void {
    const encoded = encoder.encode(text);
    this.u32(encoded.length);
    this.raw(encoded);
  }

  clear(): void {
    this.length = 0;
  }

  /** A copy of what was written. */
  toUint8Array(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.length) as Uint8Array<ArrayBuffer>;
  }
}

const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);
const encoder = new TextEncoder();

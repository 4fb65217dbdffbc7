import { ObjectError } from "./errors.js";

/** Characters of a name; C++ and Rust have long ones. */
const MOST_NAME = 4096;
/** Characters of all names that are read: names may overlap, and would be many more than bytes. */
const MOST_TEXT = 16 << 20;

/** Little-endian numbers of some bytes; nothing is read outside them. */
export class Reader {
  readonly #view: DataView;
  #read = 0;

  /** @param what they are called in errors */
  constructor(
    readonly bytes: Uint8Array,
    readonly what: string,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(at: number): number {
    this.#check(at, 1);
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    this.#check(at, 2);
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    this.#check(at, 4);
    return this.#view.getUint32(at, true);
  }

  /** 64 bits; above 2^53 inexact, which no size or offset of an object is. */
  u64(at: number): number {
    this.#check(at, 8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 0x100000000;
  }

  /** Part of the bytes, not copied. @throws {ObjectError} truncated */
  slice(at: number, length: number): Uint8Array {
    this.#check(at, length);
    return this.bytes.subarray(at, at + length);
  }

  /** The characters up to a 0 byte, or to the end. @throws {ObjectError} truncated, limit */
  text(at: number): string {
    this.#check(at, 0);
    const zero = this.bytes.subarray(0, at + MOST_NAME + 1).indexOf(0, at);
    const end = zero < 0 ? Math.min(this.bytes.length, at + MOST_NAME + 1) : zero;
    this.#read += end - at;
    if (end - at > MOST_NAME || this.#read > MOST_TEXT)
      throw new ObjectError("limit", `${this.what}: more than ${MOST_NAME} characters, or ${MOST_TEXT} in all`);
    return String.fromCharCode(...this.bytes.subarray(at, end));
  }

  #check(at: number, length: number): void {
    if (!(at >= 0 && length >= 0 && at + length <= this.bytes.length))
      throw new ObjectError("truncated", `${this.what}: ${length} bytes at ${at} of ${this.bytes.length}`);
  }
}

import { u8, u16, u32, u64 } from "./struct.js";

/** Called for a field that does not fit into what is left. Throws the typed error of the format that is read. */
export type Short = (field: string, at: number, wanted: number, left: number) => never;

/** Reads fields one after the other from a range of bytes that nobody has checked. Never reads outside of the range. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #short: Short;
  readonly #end: number;
  #at: number;

  /** @param start, end the range, in bytes from the start of `bytes`; end exclusive, both within `bytes` */
  constructor(bytes: Uint8Array, short: Short, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#short = short;
    this.#at = start;
    this.#end = end;
  }

  /** Offset of the next byte, from the start of the whole. */
  get at(): number {
    return this.#at;
  }

  /** Bytes that are left in the range. */
  get left(): number {
    return this.#end - this.#at;
  }

  u8(field: string): number {
    return u8.read(this.#bytes, this.#skip(1, field));
  }

  u16(field: string): number {
    return u16.read(this.#bytes, this.#skip(2, field));
  }

  u32(field: string): number {
    return u32.read(this.#bytes, this.#skip(4, field));
  }

  u64(field: string): bigint {
    return u64.read(this.#bytes, this.#skip(8, field));
  }

  /** The next `size` bytes, as a view. */
  bytes(size: number, field: string): Uint8Array {
    const at = this.#skip(size, field);
    return this.#bytes.subarray(at, at + size);
  }

  /** A reader of the next `size` bytes only, which this one has passed then. */
  part(size: number, field: string): ByteReader {
    const at = this.#skip(size, field);
    return new ByteReader(this.#bytes, this.#short, at, at + size);
  }

  #skip(size: number, field: string): number {
    const at = this.#at;
    if (size > this.left) this.#short(field, at, size, this.left);
    this.#at = at + size;
    return at;
  }
}

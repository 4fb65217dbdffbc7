/** A structure of the uapi in bytes, as callers give and get it: fields by their offsets. */
export class Structure {
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  /** An address, or a number of 64 bits below 2^53. */
  u64(at: number): number {
    return this.u32(at) + this.u32(at + 4) * 2 ** 32;
  }

  set32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  set64(at: number, value: bigint): void {
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }

  set(at: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, at);
  }

  /** A name of 16 bytes, as Latin-1 with a NUL. */
  setName(at: number, name: string): void {
    for (let k = 0; k < 16; k++) this.bytes[at + k] = k < 15 ? name.charCodeAt(k) || 0 : 0;
  }
}

/** The bytes of numbers of 32 bits. */
export function wordsOf(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * numbers.length);
  const view = new DataView(bytes.buffer);
  for (const [k, number] of numbers.entries()) view.setUint32(4 * k, number, true);
  return bytes;
}

/** The bytes of a text with a NUL. */
export function textOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length + 1);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes;
}

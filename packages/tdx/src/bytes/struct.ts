import { FieldError } from "./errors.js";

/** One field of a binary structure: how many bytes it takes and how a value is read from and written to them. */
export interface Field<T> {
  /** Bytes. */
  readonly size: number;
  read(bytes: Uint8Array, at: number): T;
  write(bytes: Uint8Array, at: number, value: T, name: string): void;
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function number(size: 1 | 2 | 4, get: "getUint8" | "getUint16" | "getUint32"): Field<number> {
  return {
    size,
    read: (bytes, at) => view(bytes)[get](at, true),
    write(bytes, at, value, name) {
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size))
        throw new FieldError("field-range", `${name} is ${value}; 0 to ${2 ** (8 * size) - 1} fits into ${size} bytes`);
      for (let i = 0; i < size; i++) bytes[at + i] = Math.floor(value / 2 ** (8 * i)) % 256;
    },
  };
}

/** Unsigned, one byte. */
export const u8 = number(1, "getUint8");
/** Unsigned, two bytes, little-endian. */
export const u16 = number(2, "getUint16");
/** Unsigned, four bytes, little-endian. */
export const u32 = number(4, "getUint32");
/** Unsigned, eight bytes, little-endian. */
export const u64: Field<bigint> = {
  size: 8,
  read: (bytes, at) => view(bytes).getBigUint64(at, true),
  write(bytes, at, value, name) {
    if (value < 0n || value >= 1n << 64n)
      throw new FieldError("field-range", `${name} is ${value}; 0 to 2^64 - 1 fits into 8 bytes`);
    view(bytes).setBigUint64(at, value, true);
  },
};

/** A string of exactly `size` bytes. What is read is a view, not a copy. */
export function bytes(size: number): Field<Uint8Array> {
  return {
    size,
    read: (from, at) => from.subarray(at, at + size),
    write(to, at, value, name) {
      if (value.length !== size)
        throw new FieldError("field-size", `${name} has ${value.length} bytes; it has to have ${size}`);
      to.set(value, at);
    },
  };
}

/** The fields of a structure, by name, in the order of their bytes. */
export type Fields = Readonly<Record<string, Field<unknown>>>;
/** What a structure of these fields holds. */
export type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A packed binary structure of fixed size: its fields follow each other without gaps. */
export class Struct<F extends Fields> {
  /** Bytes. */
  readonly size: number;
  readonly #fields: readonly (readonly [keyof F & string, Field<unknown>, number])[];

  constructor(fields: F) {
    let at = 0;
    this.#fields = Object.entries(fields).map(([name, field]) => {
      const place = [name, field, at] as const;
      at += field.size;
      return place;
    });
    this.size = at;
  }

  /** Offset of a field from the start of the structure, in bytes. */
  offsetOf(name: keyof F & string): number {
    const place = this.#fields.find(([known]) => known === name);
    if (place === undefined) throw new FieldError("field-range", `no field ${name}`);
    return place[2];
  }

  /** @param from holds at least `size` bytes from `at` on: the caller has checked. Strings of bytes are views of it. */
  read(from: Uint8Array, at = 0): Values<F> {
    return Object.fromEntries(
      this.#fields.map(([name, field, offset]) => [name, field.read(from, at + offset)]),
    ) as Values<F>;
  }

  /** The bytes of these values. @throws {FieldError} for a value that does not fit; nothing else */
  write(values: Values<F>): Uint8Array {
    const to = new Uint8Array(this.size);
    for (const [name, field, offset] of this.#fields) field.write(to, offset, values[name], name);
    return to;
  }
}

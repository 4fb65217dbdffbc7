import { always, type Field } from "./field.js";

export type Fields = { readonly [name: string]: Field<unknown> };
type Named<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<infer T> ? ([T] extends [undefined] ? never : K) : never;
}[keyof F];
/** The values of a structure by field name; padding has none. */
export type Values<F extends Fields> = {
  readonly [K in Named<F>]: F[K] extends Field<infer T> ? T : never;
};

/** Where a field lies. */
export interface Placed {
  readonly name: string;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  readonly field: Field<unknown>;
}

/** A structure on the wire; itself a field, so structures nest. */
export interface Struct<V> extends Field<V> {
  readonly fields: readonly Placed[];
  /** Byte offset of a field, padding included. @throws RangeError if there is no such field */
  offset(name: string): number;
  /** The structure as `size` new bytes. */
  encode(value: V): Uint8Array;
  /** Reads a whole structure from the start of `from`. */
  decode(from: Uint8Array): V;
}

/** A layout that C would pad silently, or that does not exist. */
export class LayoutError extends Error {
  override readonly name = "LayoutError";

  constructor(
    /** A field is not naturally aligned, or the size is no multiple of the alignment. */
    readonly code: "alignment" | "size",
    message: string,
  ) {
    super(message);
  }
}

/**
 * Lays fields out in the order they are written, at their natural alignment. Padding is written down, never implied.
 *
 * @throws {LayoutError} for a field that is not naturally aligned, or a size that is no multiple of the alignment
 * @example const header = struct({ id: u16, size: u16, seq: u32 }); header.offset("seq") === 4
 */
export function struct<const F extends Fields>(fields: F): Struct<Values<F>> {
  const placed: Placed[] = [];
  let size = 0;
  let align = 1;
  for (const [name, field] of Object.entries(fields)) {
    if (size % field.align !== 0)
      throw new LayoutError("alignment", `${name} would lie at ${size}, not a multiple of ${field.align}`);
    placed.push({ name, offset: size, field });
    size += field.size;
    align = Math.max(align, field.align);
  }
  if (size % align !== 0) throw new LayoutError("size", `${size} bytes are no multiple of ${align}`);
  const named = placed.filter(({ field }) => field.role === "value");
  const padded = placed.filter(({ field }) => field.clean !== always);
  const self: Struct<Values<F>> = {
    size,
    align,
    c: placed.map(({ name, field }) => (field.role === "value" ? `${field.c} ${name}` : field.c)).join(", "),
    role: "value",
    fields: placed,
    offset: (name) => {
      const found = placed.find((each) => each.name === name);
      if (found === undefined) throw new RangeError(`no field ${name}`);
      return found.offset;
    },
    read: (view, at) => {
      const out: Record<string, unknown> = {};
      for (const { name, offset, field } of named) out[name] = field.read(view, at + offset);
      return out as Values<F>;
    },
    write: (view, at, value) => {
      const source = value as Record<string, unknown>;
      for (const { name, offset, field } of placed) field.write(view, at + offset, source[name]);
    },
    clean:
      padded.length === 0
        ? always
        : (view, at) => {
            for (const { offset, field } of padded) if (!field.clean(view, at + offset)) return false;
            return true;
          },
    encode: (value) => {
      const out = new Uint8Array(size);
      self.write(new DataView(out.buffer), 0, value);
      return out;
    },
    decode: (from) => self.read(new DataView(from.buffer, from.byteOffset, from.byteLength), 0),
  };
  return self;
}

/** The values a structure holds. */
export type ValueOf<S> = S extends Struct<infer V> ? V : never;

/** A message without a body. */
export const nothing = struct({});

/** Characters of a refused value that a message shows. */
const SHOWN = 40;

/** A saved state that no device was ever in. The message names the place: `fifo[3] is 300, expected a whole number from 0 to 255`. */
export class StateError extends Error {
  override readonly name = "StateError";
  readonly code = "state";

  /**
   * @param path of what is wrong, from where the reading began; empty for all of it
   * @param what is wrong: the rest of the sentence
   */
  constructor(
    readonly path: string,
    readonly what: string,
  ) {
    super(`${path === "" ? "it" : path} ${what}`);
  }
}

/**
 * Gives what a value says if it is of its kind, in a copy that nobody else has. A state that was saved is data that anybody can make up: what a part is to be is read so
 * before anything of it changes.
 * @throws {StateError}
 */
export type StateReader<T> = (value: unknown, path?: string) => T;

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > SHOWN ? `${value.slice(0, SHOWN)}...` : value);
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${String(value).slice(0, SHOWN)}n`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "a record" : String(value);
}

const refuse = (path: string, value: unknown, expected: string): never => {
  throw new StateError(path, `is ${shown(value)}, expected ${expected}`);
};

/** The path of a field. */
export const at = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

/** Whole numbers, both ends included. Also such that are too large to be exact. */
const integer =
  (least: number, most: number): StateReader<number> =>
  (value, path = "") =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? value + 0
      : refuse(path, value, `a whole number from ${least} to ${most}`);

/** Numbers, both ends included. */
const number =
  (least: number, most: number): StateReader<number> =>
  (value, path = "") =>
    typeof value === "number" && value >= least && value <= most
      ? value
      : refuse(path, value, `a number from ${least} to ${most}`);

/** Unsigned words in which only the bits of `mask` can be set. */
const bits =
  (mask: number): StateReader<number> =>
  (value, path = "") =>
    typeof value === "number" && value >>> 0 === value && (value & ~mask) === 0
      ? value
      : refuse(path, value, `bits of ${(mask >>> 0).toString(16)} (hexadecimal)`);

const flag: StateReader<boolean> = (value, path = "") =>
  typeof value === "boolean" ? value : refuse(path, value, "true or false");

const oneOf =
  <T extends string | number>(...values: readonly T[]): StateReader<T> =>
  (value, path = "") =>
    values.find((known) => known === value) ?? refuse(path, value, `one of ${values.join(", ")}`);

/** Strings of at most `most` UTF-16 units. */
const text =
  (most: number): StateReader<string> =>
  (value, path = "") =>
    typeof value === "string" && value.length <= most
      ? value
      : refuse(path, value, `a string of at most ${most} characters`);

const none: StateReader<null> = (value, path = "") => (value === null ? null : refuse(path, value, "null"));

const nullOr =
  <T>(reader: StateReader<T>): StateReader<T | null> =>
  (value, path = "") =>
    value === null ? null : reader(value, path);

const span = (least: number, most: number): string => (least === most ? `${least}` : `${least} to ${most}`);

/** A copy of them. */
const bytes =
  (least: number, most = least): StateReader<Uint8Array> =>
  (value, path = "") =>
    value instanceof Uint8Array && value.length >= least && value.length <= most
      ? new Uint8Array(value)
      : refuse(path, value, `${span(least, most)} bytes`);

/** How long it is comes first, so that nothing is read of one that is too long. */
const list =
  <T>(reader: StateReader<T>, least: number, most = least): StateReader<readonly T[]> =>
  (value, path = "") =>
    Array.isArray(value) && value.length >= least && value.length <= most
      ? Array.from({ length: value.length }, (_, k) => reader(value[k], `${path}[${k}]`))
      : refuse(path, value, `a list of ${span(least, most)}`);

/** As many elements as there are readers, each read by its own. */
const tuple =
  <T>(...readers: readonly StateReader<T>[]): StateReader<readonly T[]> =>
  (value, path = "") =>
    list<unknown>((element) => element, readers.length)(value, path).map((element, k) =>
      (readers[k] as StateReader<T>)(element, `${path}[${k}]`),
    );

/** Objects of any keys, which somebody else reads. */
const object: StateReader<Readonly<Record<string, unknown>>> = (value, path = "") =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
    ? (value as Readonly<Record<string, unknown>>)
    : refuse(path, value, "a record");

/** Objects with these keys and no others, of which those in `optional` may be absent. */
const record =
  <T>(fields: { readonly [K in keyof T]-?: StateReader<T[K]> }, optional: readonly (keyof T)[] = []): StateReader<T> =>
  (value, path = "") => {
    const held = object(value, path) as { readonly [K in keyof T]?: unknown };
    for (const name in held)
      if (!Object.hasOwn(fields, name))
        throw new StateError(at(path, name.slice(0, SHOWN)), "is nothing that is known");
    const read = {} as T;
    for (const name in fields)
      if (Object.hasOwn(held, name)) read[name] = fields[name](held[name], at(path, name));
      else if (!optional.includes(name)) throw new StateError(at(path, name), "is missing");
    return read;
  };

/** Readers of what states are made of. */
export const read = {
  ...{ integer, number, bits, flag, oneOf, text, none, nullOr, bytes, list, tuple, object, record },
  u8: integer(0, 0xff),
  u16: integer(0, 0xffff),
  u32: integer(0, 0xffff_ffff),
  /** Virtual time, ns: any that a clock may show, and what devices add to it. */
  time: number(-(2 ** 63), 2 ** 63),
  /** A guest-physical address as drivers write it, by halves of 32 bits. */
  address: integer(0, 2 ** 64),
} as const;

/** Does `work` on a part of a state, and has what it refuses named from the whole. @throws {StateError} */
export function within<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    const inner = error.path.startsWith("[") ? `${path}${error.path}` : at(path, error.path);
    throw new StateError(error.path === "" ? path : inner, error.what);
  }
}

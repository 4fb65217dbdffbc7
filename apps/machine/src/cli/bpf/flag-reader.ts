import { UsageError } from "../errors.js";

/** Bytes as a flag has them: hexadecimal digits, or a list of numbers or of bpftool's `"0x2a"`. Null for anything else. */
export function bytesOf(told: unknown): Uint8Array | null {
  if (typeof told === "string") {
    const digits = told.replace(/^0x/i, "").replace(/\s+/g, "");
    if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits)) return null;
    return Uint8Array.from({ length: digits.length / 2 }, (_, k) =>
      Number.parseInt(digits.slice(2 * k, 2 * k + 2), 16),
    );
  }
  if (!Array.isArray(told)) return null;
  const numbers = told.map((each: unknown) =>
    typeof each === "string" && /^(0x[0-9a-f]{1,2}|[0-9]{1,3})$/i.test(each) ? Number(each) : each,
  );
  const isByte = (each: unknown): each is number =>
    typeof each === "number" && Number.isInteger(each) && each >= 0 && each <= 255;
  return numbers.every(isByte) ? Uint8Array.from(numbers) : null;
}

/** How bytes are written, for messages. */
export const BYTES = 'bytes in hexadecimal, as "2a 00 00 00", or a list of them';

/** A JSON object of `--maps`, whose fields have several spellings. What is wrong is refused with where it is and what would be accepted. */
export class FlagReader<Field extends string> {
  readonly #given: Readonly<Record<string, unknown>>;

  /**
   * @param where "map 0"
   * @param known fields that are there and not looked at
   * @throws {UsageError} for what is no object, or has fields that there are not, or one twice
   */
  constructor(
    given: unknown,
    readonly where: string,
    readonly spellings: Readonly<Record<Field, readonly string[]>>,
    known: readonly string[] = [],
  ) {
    if (typeof given !== "object" || given === null || Array.isArray(given))
      throw new UsageError(`--maps: ${where}: expected an object such as {"type":"array"}`);
    this.#given = given as Readonly<Record<string, unknown>>;
    const all = Object.values<readonly string[]>(spellings);
    for (const name of Object.keys(given))
      if (!known.includes(name) && !all.some((names) => names.includes(name)))
        throw new UsageError(`--maps: ${where}: "${name}": expected one of ${all.map(([first]) => first).join(", ")}`);
    for (const names of all) {
      const [first, second] = names.filter((name) => name in given);
      if (second !== undefined)
        throw new UsageError(`--maps: ${where}: "${first}" and "${second}": expected one of them`);
    }
  }

  /** The value of a field; undefined if it is not there. */
  get(field: Field): unknown {
    return this.#given[this.#spelling(field)];
  }

  /** @throws {UsageError} unless it is a number of 32 bits */
  number(field: Field, otherwise: number, least = 0): number {
    const value = this.get(field) ?? otherwise;
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value < 2 ** 32) return value;
    return this.refuse(field, `a number from ${least} to 4294967295`);
  }

  /** @throws {UsageError} unless it is bytes */
  bytes(field: Field): Uint8Array {
    return bytesOf(this.get(field)) ?? this.refuse(field, BYTES);
  }

  /** @throws {UsageError} */
  refuse(field: Field, expected: string): never {
    throw new UsageError(`--maps: "${this.#spelling(field)}" of ${this.where}: expected ${expected}`);
  }

  #spelling(field: Field): string {
    const names = this.spellings[field];
    return names.find((name) => name in this.#given) ?? (names[0] as string);
  }
}

import { hexToBytes } from "@noble/hashes/utils.js";
import { calendar } from "../pki/time.js";
import { type Json, JsonError, JsonObject, parseJson } from "./json.js";

const fail = (message: string): never => {
  throw new JsonError(message);
};

/** Members of a signed document, each read as what it has to be. @throws {JsonError} naming the member, from all of its methods */
export class Document {
  readonly #object: JsonObject;
  readonly #path: string;

  private constructor(object: JsonObject, path: string) {
    this.#object = object;
    this.#path = path;
  }

  /** @param what its name, for messages */
  static parse(text: string, what: string): Document {
    return Document.of(parseJson(text), what);
  }

  static of(value: Json, path: string): Document {
    return value instanceof JsonObject ? new Document(value, path) : fail(`${path} is not an object`);
  }

  /** From its `{` to its `}`. */
  get source(): string {
    return this.#object.text;
  }

  has(name: string): boolean {
    return this.#object.members.has(name);
  }

  text(name: string): string {
    const value = this.#member(name);
    return typeof value === "string" ? value : this.#refuse(name, "a string");
  }

  /** Exactly `size` bytes in hexadecimal digits, all in lower or all in upper case. */
  hex(name: string, size: number): Uint8Array {
    const value = this.text(name);
    return isHex(value) && value.length === 2 * size
      ? hexToBytes(value)
      : this.#refuse(name, `${size} bytes in hexadecimal`);
  }

  /** 0 to `most`. */
  uint(name: string, most: number): number {
    const value = this.#member(name);
    return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most
      ? value
      : this.#refuse(name, `an integer from 0 to ${most}`);
  }

  /** Milliseconds since 1970 of a date like 2025-06-19T10:16:03Z. */
  date(name: string): number {
    const time = isoTime(this.text(name));
    return Number.isNaN(time) ? this.#refuse(name, "a time like 2025-06-19T10:16:03Z") : time;
  }

  object(name: string): Document {
    return Document.of(this.#member(name), `${this.#path}.${name}`);
  }

  /** Objects. */
  list(name: string): Document[] {
    return this.#array(name).map((item, i) => Document.of(item, `${this.#path}.${name}[${i}]`));
  }

  /** Strings; none if the member is not there. */
  texts(name: string): string[] {
    if (!this.has(name)) return [];
    return this.#array(name).map((item) => (typeof item === "string" ? item : this.#refuse(name, "a list of strings")));
  }

  /** The value if it is one of `words`. */
  word<T extends string>(name: string, words: readonly T[]): T {
    const value = this.text(name);
    return words.find((word) => word === value) ?? this.#refuse(name, words.join(" or "));
  }

  #array(name: string): readonly Json[] {
    const value = this.#member(name);
    return Array.isArray(value) ? value : this.#refuse(name, "a list");
  }

  #member(name: string): Json {
    const value = this.#object.members.get(name);
    return value === undefined ? fail(`${this.#path}.${name} is not there`) : value;
  }

  #refuse(name: string, accepted: string): never {
    return fail(`${this.#path}.${name} is not ${accepted}`);
  }
}

/** Whether a text is whole bytes in hexadecimal digits, all in lower or all in upper case: bytes have two such texts and not more. */
export function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^(?:[0-9a-f]*|[0-9A-F]*)$/.test(text);
}

/** Milliseconds since 1970 of a time like 2025-06-19T10:16:03Z; NaN for another text. */
export function isoTime(text: string): number {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z$/.exec(text);
  if (match === null) return Number.NaN;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  return calendar(year, month, day, hour, minute, second);
}

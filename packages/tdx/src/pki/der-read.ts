import { PkiError } from "./errors.js";

/** Tags of ASN.1 that certificates use, as the identifier octet has them. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  /** [n] of a constructed value. */
  explicit: (n: number): number => 0xa0 | n,
  /** [n] of a primitive value. */
  implicit: (n: number): number => 0x80 | n,
} as const;

/** One value in distinguished encoding. All bytes are views of what was read. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag, length and content. */
  readonly bytes: Uint8Array;
}

const fail = (message: string): never => {
  throw new PkiError("der", message);
};

/**
 * Reads values one after the other. Only the distinguished encoding (X.690, 10 and 11) is read: one value has one encoding. Tags above 30 and
 * contents of 2^24 bytes and more do not occur in certificates and are refused.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Tag of the next value, -1 at the end. */
  get tag(): number {
    return this.#bytes[this.#at] ?? -1;
  }

  /** The next value. @throws {PkiError} `der` unless it has this tag and is complete */
  next(tag: number, what: string): DerValue {
    const start = this.#at;
    if (this.tag !== tag) fail(`${what}: tag ${show(this.tag)} where ${show(tag)} has to be`);
    const size = this.#length(start + 1, what);
    const from = this.#at;
    if (size > this.#bytes.length - from) fail(`${what}: ${size} bytes, and ${this.#bytes.length - from} are left`);
    this.#at = from + size;
    return { tag, content: this.#bytes.subarray(from, this.#at), bytes: this.#bytes.subarray(start, this.#at) };
  }

  /** The next value if it has this tag. */
  optional(tag: number, what: string): DerValue | undefined {
    return this.tag === tag ? this.next(tag, what) : undefined;
  }

  /** Reader of the values in the next one. */
  inside(tag: number, what: string): DerReader {
    return new DerReader(this.next(tag, what).content);
  }

  /** @throws {PkiError} `der` if anything is left */
  end(what: string): void {
    if (this.#at < this.#bytes.length) fail(`${what}: ${this.#bytes.length - this.#at} bytes too many`);
  }

  /** Reads the length at `at` and leaves the position behind it. */
  #length(at: number, what: string): number {
    const first = this.#bytes[at] ?? fail(`${what}: no length`);
    this.#at = at + 1;
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count < 1 || count > 3) fail(`${what}: a length of ${count} bytes; 1 to 3 are read`);
    let size = 0;
    for (let i = 1; i <= count; i++) size = size * 256 + (this.#bytes[at + i] ?? fail(`${what}: no length`));
    if (size < 0x80 || size < 2 ** (8 * (count - 1)))
      fail(`${what}: length ${size} is not encoded as short as possible`);
    this.#at = at + 1 + count;
    return size;
  }
}

const show = (tag: number): string => (tag < 0 ? "none" : `0x${tag.toString(16).padStart(2, "0")}`);

/** The one value that `bytes` are. @throws {PkiError} `der` also for bytes behind it */
export function readWhole(bytes: Uint8Array, tag: number, what: string): DerReader {
  const reader = new DerReader(bytes);
  const inside = reader.inside(tag, what);
  reader.end(what);
  return inside;
}

/** Magnitude of an INTEGER that is not negative, big-endian, without leading zeros; zero is one byte. */
export function readUnsigned(value: DerValue, what: string): Uint8Array {
  const { content } = value;
  const [first, second] = content;
  if (first === undefined) return fail(`${what}: an integer without bytes`);
  if (first >= 0x80) return fail(`${what}: a negative integer`);
  if (first !== 0 || second === undefined) return content;
  if (second < 0x80) return fail(`${what}: an integer with a zero too many`);
  return content.subarray(1);
}

/** As {@link readUnsigned}, as a number. @throws {PkiError} `der` above `most`, which is at most 2^32 - 1 */
export function readSmall(value: DerValue, most: number, what: string): number {
  const bytes = readUnsigned(value, what);
  const number = bytes.length > 4 ? Number.POSITIVE_INFINITY : bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  return number <= most ? number : fail(`${what}: more than ${most}`);
}

/** BOOLEAN, of which 0 and 255 are the only distinguished contents. */
export function readBoolean(value: DerValue, what: string): boolean {
  const [byte] = value.content;
  if (value.content.length !== 1 || (byte !== 0 && byte !== 0xff)) fail(`${what}: a boolean is one byte, 0 or 255`);
  return byte === 0xff;
}

/** OBJECT IDENTIFIER with dots between its arcs. */
export function readOid(value: DerValue, what: string): string {
  const { content } = value;
  if (content.length === 0 || content.length > 32) fail(`${what}: an object identifier of ${content.length} bytes`);
  const arcs: number[] = [];
  let arc = 0;
  let started = false;
  for (const byte of content) {
    if (!started && byte === 0x80) fail(`${what}: an arc with a zero too many`);
    arc = arc * 128 + (byte & 0x7f);
    if (arc > 2 ** 40) fail(`${what}: an arc above 2^40`);
    started = byte >= 0x80;
    if (started) continue;
    if (arcs.length === 0) {
      const root = Math.min(Math.floor(arc / 40), 2);
      arcs.push(root, arc - 40 * root);
    } else arcs.push(arc);
    arc = 0;
  }
  return started ? fail(`${what}: the last arc does not end`) : arcs.join(".");
}

/** BIT STRING of whole bytes, as keys and signatures are. */
export function readBytesOfBits(value: DerValue, what: string): Uint8Array {
  if (value.content[0] !== 0) fail(`${what}: a string of bits that is not of whole bytes`);
  return value.content.subarray(1);
}

/** BIT STRING with named bits, of up to 32: bit 0 of the result is the first one. The last bit there is has to be one. */
export function readNamedBits(value: DerValue, what: string): number {
  const [unused = 8, ...bytes] = value.content;
  const last = bytes.at(-1) ?? 0;
  if (unused > 7 || bytes.length > 4 || ((last >> unused) & 1) === 0 || (last & ((1 << unused) - 1)) !== 0)
    fail(`${what}: named bits that are not encoded as short as possible`);
  return bytes.reduce((bits, byte, i) => bits + reverse(byte) * 2 ** (8 * i), 0);
}

function reverse(byte: number): number {
  let to = 0;
  for (let i = 0; i < 8; i++) if (byte & (0x80 >> i)) to |= 1 << i;
  return to;
}

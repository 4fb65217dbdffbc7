import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { Tag } from "./der-read.js";
import { timeText } from "./time.js";

/** A value in distinguished encoding: tag, length and the parts one after the other as its content. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  return concatBytes(Uint8Array.of(tag), length(content.length), content);
}

/** Values one after the other. There may be more of them than a function takes arguments. */
export function joined(values: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(values.reduce((size, value) => size + value.length, 0));
  let at = 0;
  for (const value of values) {
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}

function length(size: number): Uint8Array {
  if (size < 0x80) return Uint8Array.of(size);
  const bytes: number[] = [];
  for (let left = size; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Uint8Array.of(0x80 | bytes.length, ...bytes);
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => der(Tag.sequence, ...parts);
export const octetString = (bytes: Uint8Array): Uint8Array => der(Tag.octetString, bytes);
export const utf8String = (text: string): Uint8Array => der(Tag.utf8String, utf8ToBytes(text));
export const printableString = (text: string): Uint8Array => der(Tag.printableString, utf8ToBytes(text));
export const boolean = (value: boolean): Uint8Array => der(Tag.boolean, Uint8Array.of(value ? 0xff : 0));
/** BIT STRING of whole bytes. */
export const bitString = (bytes: Uint8Array): Uint8Array => der(Tag.bitString, Uint8Array.of(0), bytes);

/** INTEGER that is not negative, from its magnitude in big-endian or a number below 2^32. */
export function integer(value: Uint8Array | number): Uint8Array {
  const bytes = typeof value === "number" ? Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value) : value;
  const first = bytes.findIndex((byte) => byte !== 0);
  const magnitude = first < 0 ? Uint8Array.of(0) : bytes.subarray(first);
  return der(Tag.integer, ...((magnitude[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : []), magnitude);
}

/** BIT STRING with named bits; bit 0 of `bits` is the first one. At most 32 bits, not all zero. */
export function namedBits(bits: number): Uint8Array {
  const last = 31 - Math.clz32(bits);
  const bytes = new Uint8Array(Math.floor(last / 8) + 1);
  for (let i = 0; i <= last; i++) if ((bits >>> i) & 1) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (0x80 >> (i & 7));
  return der(Tag.bitString, Uint8Array.of(7 - (last & 7)), bytes);
}

/** OBJECT IDENTIFIER from its arcs with dots between. */
export function oid(dotted: string): Uint8Array {
  const [root = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return der(Tag.oid, Uint8Array.from([root * 40 + second, ...rest].flatMap(arc)));
}

function arc(value: number): number[] {
  const bytes = [value % 128];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) bytes.unshift(0x80 | (left % 128));
  return bytes;
}

/** UTCTime to 2049, GeneralizedTime from then on. */
export function time(value: Date): Uint8Array {
  const { tag, text } = timeText(value);
  return der(tag, utf8ToBytes(text));
}

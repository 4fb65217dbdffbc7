import { random } from "./fuzz.js";
import { bytes, le } from "./raw-tool.js";

export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const padTo = (parts: Uint8Array, align: number): Uint8Array =>
  bytes(parts, new Uint8Array((align - (parts.length % align)) % align));
const u32s = (values: readonly number[]): Uint8Array => bytes(...values.map((value) => le(4, value)));

/** Where a kernel of some series keeps its symbol tables, as scripts/kallsyms.c writes them. */
export type Order = "before 6.4" | "6.1.y with sequence numbers" | "since 6.4";
export const BASE = 0xffffffff81000000n;

/** A kernel's read-only data with a symbol table in it; symbol k is `T sym_k` at BASE + 16 k. */
export function image(order: Order, count: number, percpu: boolean): Uint8Array {
  // Tokens of one character stand for themselves; a few others for words.
  const words = new Map([[1, "Tsym_"]]);
  const tokens = Array.from({ length: 256 }, (_, k) => words.get(k) ?? String.fromCharCode(k < 33 ? 200 : k));
  const table: Uint8Array[] = [];
  const index: number[] = [];
  let at = 0;
  for (const token of tokens) {
    index.push(at);
    const entry = bytes(
      [...token].map((c) => c.charCodeAt(0)),
      [0],
    );
    table.push(entry);
    at += entry.length;
  }
  const names: Uint8Array[] = [];
  const markers: number[] = [];
  at = 0;
  for (let k = 0; k < count; k++) {
    if (k % 256 === 0) markers.push(at);
    const digits = ascii(String(k));
    // One long name of more than 127 tokens.
    const text = k === 300 ? bytes([1], digits, new Uint8Array(200).fill(0x78)) : bytes([1], digits);
    const length = text.length < 128 ? [text.length] : [(text.length & 0x7f) | 0x80, text.length >> 7];
    const name = bytes(length, text);
    names.push(name);
    at += name.length;
  }
  const offsets = u32s(Array.from({ length: count }, (_, k) => (percpu ? (k === 0 ? 0 : -16 * k - 1) : 16 * k)));
  const addresses = bytes(padTo(offsets, 8), le(8, BASE));
  const seqs = padTo(new Uint8Array(3 * count).fill(1), 8);
  const head = bytes(le(8, count), padTo(bytes(...names), 8), padTo(u32s(markers), 8));
  const tail = bytes(padTo(bytes(...table), 8), ...index.map((offset) => le(2, offset)));
  const next = random(3);
  const noise = Uint8Array.from({ length: 4096 }, () => next(256));
  if (order === "since 6.4") return bytes(noise, head, tail, addresses, noise);
  return bytes(noise, addresses, head, order === "before 6.4" ? new Uint8Array(0) : seqs, tail, noise);
}

import type { Work } from "./work.js";

/** Bytes looked at without a stop. */
const STRETCH = 1 << 20;
/** Places looked at without a stop. */
const PLACES = 1024;

/** First place of `needle` in `bytes` at or behind `from`; -1 if there is none. */
export function* find(bytes: Uint8Array, needle: Uint8Array, from = 0): Work<number> {
  const first = needle[0] ?? 0;
  let places = 0;
  for (let start = from; start + needle.length <= bytes.length; start += STRETCH) {
    const stretch = bytes.subarray(start, start + STRETCH);
    for (let at = stretch.indexOf(first); at >= 0; at = stretch.indexOf(first, at + 1)) {
      if (begins(bytes, start + at, needle)) return start + at;
      places++;
      if (places % PLACES === 0) yield;
    }
    yield;
  }
  return -1;
}

function begins(bytes: Uint8Array, at: number, needle: Uint8Array): boolean {
  let k = 0;
  while (k < needle.length && bytes[at + k] === needle[k]) k++;
  return k === needle.length;
}

/** The ASCII string at `at`, up to its NUL. */
export function cString(bytes: Uint8Array, at: number, most = 4096): string {
  let text = "";
  for (let k = at; k < at + most; k++) {
    const byte = bytes[k] ?? 0;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

export const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;

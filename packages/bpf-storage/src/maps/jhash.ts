import type { Arena } from "../memory/arena.js";

/** Where the three words begin (`JHASH_INITVAL`). */
const START = 0xdeadbeef | 0;

const rotated = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits));

/**
 * Bob Jenkins' lookup3 of `size` bytes, as `jhash` of linux/jhash.h has it, and `jhash2` for multiples of 4.
 * @returns 32 bits, unsigned
 */
export function jhash(arena: Arena, at: number, size: number, seed: number): number {
  const { u8: bytes, view } = arena;
  let a = (START + size + seed) | 0;
  let [b, c] = [a, a];
  let k = at;
  let left = size;
  for (; left > 12; left -= 12, k += 12) {
    a = (a + view.getInt32(k, true)) | 0;
    b = (b + view.getInt32(k + 4, true)) | 0;
    c = (c + view.getInt32(k + 8, true)) | 0;
    a = ((a - c) | 0) ^ rotated(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotated(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotated(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ rotated(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotated(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotated(b, 4);
    b = (b + a) | 0;
  }
  if (left === 0) return c >>> 0;
  /** Up to four of the bytes that are left, as a word. */
  const rest = (from: number): number => {
    let word = 0;
    for (let n = from; n < Math.min(left, from + 4); n++) word |= (bytes[k + n] as number) << (8 * (n - from));
    return word;
  };
  a = (a + rest(0)) | 0;
  b = (b + rest(4)) | 0;
  c = (c + rest(8)) | 0;
  c = ((c ^ b) - rotated(b, 14)) | 0;
  a = ((a ^ c) - rotated(c, 11)) | 0;
  b = ((b ^ a) - rotated(a, 25)) | 0;
  c = ((c ^ b) - rotated(b, 16)) | 0;
  a = ((a ^ c) - rotated(c, 4)) | 0;
  b = ((b ^ a) - rotated(a, 14)) | 0;
  c = ((c ^ b) - rotated(b, 24)) | 0;
  return c >>> 0;
}

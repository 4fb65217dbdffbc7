import type { Arena } from "../../memory/arena.js";

/** Checksums of the Internet as the kernel computes them: sums with the carry added at the end, of 32 bits, folded to 16 (include/net/checksum.h). All numbers are unsigned. */

const WORD = 0x1_0000_0000;

/** `a` + `b` with the carry, 32 bits. */
export function addChecksum(a: number, b: number): number {
  const sum = a + b;
  return sum >= WORD ? sum - WORD + 1 : sum;
}

export const subtractChecksum = (a: number, b: number): number => addChecksum(a, ~b >>> 0);

/** The checksum, 16 bits, that a sum is put into a header as. */
export function foldChecksum(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return ~((once & 0xffff) + (once >>> 16)) & 0xffff;
}

/** The sum of words of 32 bits, little-endian, and of what there was before; `invert`: of what they are not. */
export function sumWords(arena: Arena, at: number, size: number, seed: number, invert = false): number {
  const { view } = arena;
  let sum = seed;
  for (let k = 0; k < size; k += 4) {
    const word = view.getUint32(at + k, true);
    sum = addChecksum(sum, invert ? ~word >>> 0 : word);
  }
  return sum;
}

/** The sum that a checksum in a header stands for. */
const unfolded = (checksum: number): number => ~checksum >>> 0;

/** A checksum after what it covers has changed by a difference of sums. */
export const replaceByDifference = (checksum: number, difference: number): number =>
  foldChecksum(addChecksum(difference, unfolded(checksum)));

/** A checksum after 32 bits of what it covers have changed. */
export const replaceWord = (checksum: number, from: number, to: number): number =>
  foldChecksum(addChecksum(subtractChecksum(unfolded(checksum), from), to));

/** A checksum after 16 bits of what it covers have changed. */
export function replaceHalf(checksum: number, from: number, to: number): number {
  const add = (a: number, b: number): number => {
    const sum = a + b;
    return sum > 0xffff ? sum - 0xffff : sum;
  };
  return ~add(add(~checksum & 0xffff, ~from & 0xffff), to) & 0xffff;
}

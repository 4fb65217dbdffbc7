import type { OutsideOperation } from "./operands.js";

/** PHMINPOSUW: the smallest word of operand 1 and its position. SDM vol. 2. */
const smallestWord: OutsideOperation = (o) => {
  const words = new Uint16Array(o.bBytes().buffer);
  const position = words.reduce((best, word, k) => (word < (words[best] as number) ? k : best), 0);
  return o.write((words[position] as number) | (position << 16), 0, 0, 0);
};

/** MPSADBW: eight sums of four absolute differences, of a window of operand 0 moving over and a block of operand 1. SDM vol. 2. */
const slidingDifferences: OutsideOperation = (o) => {
  const a = o.aBytes();
  const b = o.bBytes();
  const window = o.imm & 4;
  const block = 4 * (o.imm & 3);
  const sums = new Uint16Array(8);
  for (let n = 0; n < 8; n++) {
    for (let k = 0; k < 4; k++)
      sums[n] = (sums[n] as number) + Math.abs((a[window + n + k] as number) - (b[block + k] as number));
  }
  return o.writeBytes(new Uint8Array(sums.buffer));
};

export const MISCELLANEOUS: Readonly<Record<string, OutsideOperation>> = {
  phminposuw: smallestWord,
  mpsadbw: slidingDifferences,
};

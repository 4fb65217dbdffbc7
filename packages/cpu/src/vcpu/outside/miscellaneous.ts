import type { OutsideOperation } from "./operands.js";

const sums = new Int32Array(4);

/** PHMINPOSUW: the smallest word of operand 1 and its position. SDM vol. 2. */
const smallestWord: OutsideOperation = (o) => {
  let position = 0;
  let least = 0x10000;
  for (let k = 0; k < 8; k++) {
    const word = o.bByte(2 * k) | (o.bByte(2 * k + 1) << 8);
    if (word < least) {
      least = word;
      position = k;
    }
  }
  return o.write(least | (position << 16), 0, 0, 0);
};

/** MPSADBW: eight sums of four absolute differences, of a window of operand 0 moving over and a block of operand 1. SDM vol. 2. */
const slidingDifferences: OutsideOperation = (o) => {
  const window = o.imm & 4;
  const block = 4 * (o.imm & 3);
  for (let n = 0; n < 8; n++) {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += Math.abs(o.aByte(window + n + k) - o.bByte(block + k));
    sums[n >> 1] = n & 1 ? (sums[n >> 1] as number) | (sum << 16) : sum;
  }
  return o.writeFirst(sums, 4);
};

export const MISCELLANEOUS: Readonly<Record<string, OutsideOperation>> = {
  phminposuw: smallestWord,
  mpsadbw: slidingDifferences,
};

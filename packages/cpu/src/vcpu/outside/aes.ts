import type { OutsideOperation } from "./operands.js";

/** AES round instructions (FIPS 197; SDM vol. 2, AESENC). Bytes are the state column by column. */

/** Product by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
const double = (x: number): number => ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff;

function multiply(a: number, b: number): number {
  let product = 0;
  for (let power = a, rest = b; rest !== 0; rest >>= 1, power = double(power)) if (rest & 1) product ^= power;
  return product;
}

/** FIPS 197, 5.1.1: the inverse in GF(2^8), then an affine map. */
const SBOX = Uint8Array.from({ length: 256 }, (_, x) => {
  let inverse = x;
  // x^254 = 1/x.
  for (let k = 0; k < 6; k++) inverse = multiply(multiply(inverse, inverse), x);
  inverse = multiply(inverse, inverse);
  const rotated = inverse * 0x101;
  return (inverse ^ (rotated >> 7) ^ (rotated >> 6) ^ (rotated >> 5) ^ (rotated >> 4) ^ 0x63) & 0xff;
});
const INVERSE = new Uint8Array(256);
SBOX.forEach((y, x) => {
  INVERSE[y] = x;
});

/** ShiftRows: row r of column c comes from column c + r, or c - r. */
const shiftRows = (s: Uint8Array, sign: 1 | -1): Uint8Array =>
  s.map((_, k) => s[(k + sign * 4 * (k & 3)) & 15] as number);
const substitute = (s: Uint8Array, box: Uint8Array): Uint8Array => s.map((x) => box[x] as number);
/** MixColumns with the given first row of the matrix. */
const mixColumns = (s: Uint8Array, row: readonly [number, number, number, number]): Uint8Array =>
  s.map((_, k) => row.reduce((sum, factor, n) => sum ^ multiply(s[(k & 12) | ((k + n) & 3)] as number, factor), 0));

const FORWARD = [2, 3, 1, 1] as const;
const BACKWARD = [14, 11, 13, 9] as const;
const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((x, k) => x ^ (b[k] as number));

const round =
  (encrypt: boolean, last: boolean): OutsideOperation =>
  (o) => {
    const s = substitute(shiftRows(o.aBytes(), encrypt ? 1 : -1), encrypt ? SBOX : INVERSE);
    return o.writeBytes(xor(last ? s : mixColumns(s, encrypt ? FORWARD : BACKWARD), o.bBytes()));
  };

/** Carry-less product of the quadwords imm[0] of operand 0 and imm[4] of operand 1 (SDM vol. 2, PCLMULQDQ). */
const carryless: OutsideOperation = (o) => {
  const first = o.imm & 1 ? 2 : 0;
  const second = o.imm & 0x10 ? 2 : 0;
  const a = [o.a(first), o.a(first + 1)] as const;
  const b = [o.b(second), o.b(second + 1)] as const;
  const r = [0, 0, 0, 0] as [number, number, number, number];
  for (let bit = 0; bit < 64; bit++) {
    if (!(((b[bit >> 5] as number) >>> (bit & 31)) & 1)) continue;
    const n = bit & 31;
    const word = bit >> 5;
    const above = (x: number): number => (n === 0 ? 0 : x >>> (32 - n));
    r[word as 0] ^= a[0] << n;
    r[(word + 1) as 0] ^= (a[1] << n) | above(a[0]);
    r[(word + 2) as 0] ^= above(a[1]);
  }
  return o.write(...r);
};

export const AES: Readonly<Record<string, OutsideOperation>> = {
  aesenc: round(true, false),
  aesenclast: round(true, true),
  aesdec: round(false, false),
  aesdeclast: round(false, true),
  aesimc: (o) => o.writeBytes(mixColumns(o.bBytes(), BACKWARD)),
  aeskeygenassist: (o) => {
    const s = substitute(o.bBytes(), SBOX);
    const view = new DataView(s.buffer);
    const [x1, x3] = [view.getUint32(4, true), view.getUint32(12, true)];
    const rotate = (x: number): number => (x >>> 8) | (x << 24);
    return o.write(x1, rotate(x1) ^ o.imm, x3, rotate(x3) ^ o.imm);
  },
  pclmulqdq: carryless,
};

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

/**
 * What a byte of row 0 adds to its column, after (Inv)SubBytes and (Inv)MixColumns, as a doubleword with row 0 lowest (FIPS 197, 5.1.3 and
 * 5.3.3). That of row r is the same rotated by r bytes.
 */
const columns = (box: Uint8Array, column: readonly [number, number, number, number]): Int32Array =>
  Int32Array.from(box, (x) => column.reduce((sum, factor, row) => sum | (multiply(x, factor) << (8 * row)), 0));
const ENCRYPT = columns(SBOX, [2, 1, 1, 3]);
const DECRYPT = columns(INVERSE, [14, 9, 13, 11]);
const UNMIX = columns(
  Uint8Array.from({ length: 256 }, (_, x) => x),
  [14, 9, 13, 11],
);
/** The last rounds mix nothing. */
const ENCRYPT_LAST = Int32Array.from(SBOX);
const DECRYPT_LAST = Int32Array.from(INVERSE);

const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));

/** A column from one byte of each row. */
const mixed = (table: Int32Array, r0: number, r1: number, r2: number, r3: number): number =>
  (table[r0 & 0xff] as number) ^
  rotl(table[(r1 >>> 8) & 0xff] as number, 8) ^
  rotl(table[(r2 >>> 16) & 0xff] as number, 16) ^
  rotl(table[r3 >>> 24] as number, 24);

/** ShiftRows: row r of column c comes from column c + r, decrypting from c - r; then the table and the key. */
const round =
  (encrypt: boolean, table: Int32Array): OutsideOperation =>
  (o) => {
    const s0 = o.a(0);
    const s1 = o.a(1);
    const s2 = o.a(2);
    const s3 = o.a(3);
    const next = encrypt ? s1 : s3;
    const last = encrypt ? s3 : s1;
    return o.write(
      mixed(table, s0, next, s2, last) ^ o.b(0),
      mixed(table, s1, encrypt ? s2 : s0, s3, encrypt ? s0 : s2) ^ o.b(1),
      mixed(table, s2, last, s0, next) ^ o.b(2),
      mixed(table, s3, encrypt ? s0 : s2, s1, encrypt ? s2 : s0) ^ o.b(3),
    );
  };

const unmixed = (x: number): number => mixed(UNMIX, x, x, x, x);
const substituted = (x: number): number => mixed(ENCRYPT_LAST, x, x, x, x);

const product = new Int32Array(4);

/** Carry-less product of the quadwords imm[0] of operand 0 and imm[4] of operand 1 (SDM vol. 2, PCLMULQDQ). */
const carryless: OutsideOperation = (o) => {
  const first = o.imm & 1 ? 2 : 0;
  const second = o.imm & 0x10 ? 2 : 0;
  const lo = o.a(first);
  const hi = o.a(first + 1);
  product.fill(0);
  for (let word = 0; word < 2; word++) {
    const factor = o.b(second + word);
    for (let n = 0; n < 32; n++) {
      if (!((factor >>> n) & 1)) continue;
      // Two shifts: a single one by 32 is a shift by 0.
      product[word] = (product[word] as number) ^ (lo << n);
      product[word + 1] = (product[word + 1] as number) ^ ((hi << n) | ((lo >>> 1) >>> (31 - n)));
      product[word + 2] = (product[word + 2] as number) ^ ((hi >>> 1) >>> (31 - n));
    }
  }
  return o.writeFirst(product, 4);
};

const rotate = (x: number): number => (x >>> 8) | (x << 24);

export const AES: Readonly<Record<string, OutsideOperation>> = {
  aesenc: round(true, ENCRYPT),
  aesenclast: round(true, ENCRYPT_LAST),
  aesdec: round(false, DECRYPT),
  aesdeclast: round(false, DECRYPT_LAST),
  aesimc: (o) => o.write(unmixed(o.b(0)), unmixed(o.b(1)), unmixed(o.b(2)), unmixed(o.b(3))),
  aeskeygenassist: (o) => {
    const x1 = substituted(o.b(1));
    const x3 = substituted(o.b(3));
    return o.write(x1, rotate(x1) ^ o.imm, x3, rotate(x3) ^ o.imm);
  },
  pclmulqdq: carryless,
};

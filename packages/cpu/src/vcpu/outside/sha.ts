import * as S from "../../state.js";
import type { OutsideOperation } from "./operands.js";

/** SHA-1 and SHA-256 instructions (FIPS 180-4; SDM vol. 2). Doubleword 3 of a register is the earliest message word or A. */

const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));
const rotr = (x: number, n: number): number => rotl(x, 32 - n);

/** FIPS 180-4, 4.1.1 and 4.2.1, for rounds 0-19, 20-39, 40-59, 60-79. */
const SHA1_F = [
  (b: number, c: number, d: number): number => (b & c) ^ (~b & d),
  (b: number, c: number, d: number): number => b ^ c ^ d,
  (b: number, c: number, d: number): number => (b & c) ^ (b & d) ^ (c & d),
  (b: number, c: number, d: number): number => b ^ c ^ d,
] as const;
const SHA1_K = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6] as const;

const sigma0 = (x: number): number => rotr(x, 7) ^ rotr(x, 18) ^ (x >>> 3);
const sigma1 = (x: number): number => rotr(x, 17) ^ rotr(x, 19) ^ (x >>> 10);

export const SHA: Readonly<Record<string, OutsideOperation>> = {
  sha1nexte: (o) => o.write(o.b(0), o.b(1), o.b(2), o.b(3) + rotl(o.a(3), 30)),
  sha1msg1: (o) => o.write(o.b(2) ^ o.a(0), o.b(3) ^ o.a(1), o.a(0) ^ o.a(2), o.a(1) ^ o.a(3)),
  sha1msg2: (o) => {
    const w16 = rotl(o.a(3) ^ o.b(2), 1);
    const w17 = rotl(o.a(2) ^ o.b(1), 1);
    const w18 = rotl(o.a(1) ^ o.b(0), 1);
    return o.write(rotl(o.a(0) ^ w16, 1), w18, w17, w16);
  },
  sha1rnds4: (o) => {
    const which = (o.imm & 3) as 0 | 1 | 2 | 3;
    let a = o.a(3);
    let b = o.a(2);
    let c = o.a(1);
    let d = o.a(0);
    // E of the first round is already in the message word.
    let e = 0;
    for (let n = 0; n < 4; n++) {
      const next = (SHA1_F[which](b, c, d) + rotl(a, 5) + o.b(3 - n) + e + SHA1_K[which]) | 0;
      e = d;
      d = c;
      c = rotl(b, 30);
      b = a;
      a = next;
    }
    return o.write(d, c, b, a);
  },
  sha256rnds2: (o) => {
    let [a, b, e, f] = [o.b(3), o.b(2), o.b(1), o.b(0)];
    let [c, d, g, h] = [o.a(3), o.a(2), o.a(1), o.a(0)];
    for (let n = 0; n < 2; n++) {
      const choice = (e & f) ^ (~e & g);
      const majority = (a & b) ^ (a & c) ^ (b & c);
      const wk = o.vcpu.i32(S.XMM + 4 * n);
      const t1 = (h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + choice + wk) | 0;
      const t2 = ((rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + majority) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    return o.write(f, e, b, a);
  },
  sha256msg1: (o) =>
    o.write(o.a(0) + sigma0(o.a(1)), o.a(1) + sigma0(o.a(2)), o.a(2) + sigma0(o.a(3)), o.a(3) + sigma0(o.b(0))),
  sha256msg2: (o) => {
    const w16 = (o.a(0) + sigma1(o.b(2))) | 0;
    const w17 = (o.a(1) + sigma1(o.b(3))) | 0;
    return o.write(w16, w17, o.a(2) + sigma1(w16), o.a(3) + sigma1(w17));
  },
};

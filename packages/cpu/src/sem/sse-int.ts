import { i8x16, i16x8, i32, i32x4, i64x2, v128 } from "@vm/wasm";
import type { Ctx, Row, V128 } from "./ctx.js";
import { binary, everyOther, interleave, rows, shuffle, unary, words, ZERO } from "./vector.js";

const THIRTY_TWO = i32.const(32);

type Binary = (a: V128, b: V128, c: Ctx) => V128;

/** High words of eight products. */
const highWords =
  (low: Binary, high: Binary): Binary =>
  (a, b, c) =>
    shuffle(low(a, b, c), high(a, b, c), 2, everyOther(2, 1));

/** Neighbours combined: even elements of `a:b` with odd ones. */
const horizontal =
  (size: 2 | 4, op: Binary): Binary =>
  (a, b, c) => {
    return op(shuffle(a, b, size, everyOther(size, 0)), shuffle(a, b, size, everyOther(size, 1)), c);
  };

/** Even doublewords in the places `extmul_low` takes. */
const evens = (x: V128): V128 => shuffle(x, x, 4, [0, 2, 0, 2]);

/** Sums of absolute byte differences of either half. */
function sumDifferences(a: V128, b: V128, c: Ctx): V128 {
  const difference = v128.or(i8x16.sub_sat_u(a, b), i8x16.sub_sat_u(b, a));
  const sums = c.f.let("v128", i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(difference)));
  const low = v128.and(sums, words(0xffff, 0xffff, 0, 0, 0xffff, 0xffff, 0, 0));
  return i64x2.add(low, i64x2.shr_u(sums, THIRTY_TWO));
}

/** PMADDUBSW: unsigned bytes of `a` times signed bytes of `b`. */
function multiplyAddBytes(a: V128, b: V128, c: Ctx): V128 {
  const low = c.f.let("v128", i16x8.mul(i16x8.extend_low_i8x16_u(a), i16x8.extend_low_i8x16_s(b)));
  const high = c.f.let("v128", i16x8.mul(i16x8.extend_high_i8x16_u(a), i16x8.extend_high_i8x16_s(b)));
  return horizontal(2, i16x8.add_sat_s)(low, high, c);
}

/** PMULHRSW; wasm saturates 0x8000 * 0x8000, x86 does not. */
function roundedHigh(a: V128, b: V128): V128 {
  const lowest = words(...new Array<number>(8).fill(0x8000));
  const both = v128.and(i16x8.eq(a, lowest), i16x8.eq(b, lowest));
  return v128.xor(i16x8.q15mulr_sat_s(a, b), both);
}

interface Lanes {
  readonly shr_s: (x: V128, n: typeof THIRTY_TWO) => V128;
  readonly sub: (a: V128, b: V128) => V128;
  readonly eq: (a: V128, b: V128) => V128;
}

/** PSIGN: `a` with the sign of `b`, 0 where `b` is. */
const withSign =
  (lanes: Lanes, bits: number): Binary =>
  (a, b, c) => {
    const sign = c.f.let("v128", lanes.shr_s(b, i32.const(bits - 1)));
    return v128.andnot(lanes.sub(v128.xor(a, sign), sign), lanes.eq(b, ZERO));
  };

/** Unpacking, by mnemonic: element size and half. */
const UNPACK: Readonly<Record<string, readonly [number, boolean]>> = {
  punpcklbw: [1, false],
  punpcklwd: [2, false],
  punpckldq: [4, false],
  punpcklqdq: [8, false],
  punpckhbw: [1, true],
  punpckhwd: [2, true],
  punpckhdq: [4, true],
  punpckhqdq: [8, true],
};

/** Integer arithmetic, logic, comparison, packing: SSE2, SSSE3 and SSE4. SDM vol. 2. */
export const SSE_INT: readonly Row[] = [
  binary("pand", v128.and),
  binary("pandn", (a, b) => v128.andnot(b, a)),
  binary("por", v128.or),
  binary("pxor", v128.xor),
  ...Object.entries(UNPACK).map(([name, [size, high]]) =>
    binary(name, (a, b) => shuffle(a, b, size, interleave(size, high))),
  ),
  ...rows<Binary>(binary, {
    paddb: i8x16.add,
    paddw: i16x8.add,
    paddd: i32x4.add,
    paddq: i64x2.add,
    psubb: i8x16.sub,
    psubw: i16x8.sub,
    psubd: i32x4.sub,
    psubq: i64x2.sub,
    paddsb: i8x16.add_sat_s,
    paddsw: i16x8.add_sat_s,
    paddusb: i8x16.add_sat_u,
    paddusw: i16x8.add_sat_u,
    psubsb: i8x16.sub_sat_s,
    psubsw: i16x8.sub_sat_s,
    psubusb: i8x16.sub_sat_u,
    psubusw: i16x8.sub_sat_u,
    pminub: i8x16.min_u,
    pmaxub: i8x16.max_u,
    pminsw: i16x8.min_s,
    pmaxsw: i16x8.max_s,
    pminsb: i8x16.min_s,
    pmaxsb: i8x16.max_s,
    pminuw: i16x8.min_u,
    pmaxuw: i16x8.max_u,
    pminsd: i32x4.min_s,
    pmaxsd: i32x4.max_s,
    pminud: i32x4.min_u,
    pmaxud: i32x4.max_u,
    pavgb: i8x16.avgr_u,
    pavgw: i16x8.avgr_u,
    pcmpeqb: i8x16.eq,
    pcmpeqw: i16x8.eq,
    pcmpeqd: i32x4.eq,
    pcmpeqq: i64x2.eq,
    pcmpgtb: i8x16.gt_s,
    pcmpgtw: i16x8.gt_s,
    pcmpgtd: i32x4.gt_s,
    pcmpgtq: i64x2.gt_s,
    pmullw: i16x8.mul,
    pmulld: i32x4.mul,
    pmulhw: highWords(i32x4.extmul_low_i16x8_s, i32x4.extmul_high_i16x8_s),
    pmulhuw: highWords(i32x4.extmul_low_i16x8_u, i32x4.extmul_high_i16x8_u),
    pmuludq: (a, b) => i64x2.extmul_low_i32x4_u(evens(a), evens(b)),
    pmuldq: (a, b) => i64x2.extmul_low_i32x4_s(evens(a), evens(b)),
    pmaddwd: i32x4.dot_i16x8_s,
    pmaddubsw: multiplyAddBytes,
    pmulhrsw: roundedHigh,
    psadbw: sumDifferences,
    packsswb: i8x16.narrow_i16x8_s,
    packuswb: i8x16.narrow_i16x8_u,
    packssdw: i16x8.narrow_i32x4_s,
    packusdw: i16x8.narrow_i32x4_u,
    phaddw: horizontal(2, i16x8.add),
    phaddd: horizontal(4, i32x4.add),
    phaddsw: horizontal(2, i16x8.add_sat_s),
    phsubw: horizontal(2, i16x8.sub),
    phsubd: horizontal(4, i32x4.sub),
    phsubsw: horizontal(2, i16x8.sub_sat_s),
    psignb: withSign({ shr_s: i8x16.shr_s, sub: i8x16.sub, eq: i8x16.eq }, 8),
    psignw: withSign(i16x8, 16),
    psignd: withSign(i32x4, 32),
  }),
  ...rows<(a: V128, c: Ctx) => V128>(unary, {
    pabsb: i8x16.abs,
    pabsw: i16x8.abs,
    pabsd: i32x4.abs,
    pmovsxbw: i16x8.extend_low_i8x16_s,
    pmovzxbw: i16x8.extend_low_i8x16_u,
    pmovsxwd: i32x4.extend_low_i16x8_s,
    pmovzxwd: i32x4.extend_low_i16x8_u,
    pmovsxdq: i64x2.extend_low_i32x4_s,
    pmovzxdq: i64x2.extend_low_i32x4_u,
    pmovsxbd: (a) => i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(a)),
    pmovzxbd: (a) => i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(a)),
    pmovsxwq: (a) => i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(a)),
    pmovzxwq: (a) => i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(a)),
    pmovsxbq: (a) => i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(a))),
    pmovzxbq: (a) => i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(a))),
  }),
];

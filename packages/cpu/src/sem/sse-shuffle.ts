import { i8x16, i16x8, i32, i32x4, i64, i64x2, select, v128 } from "@vm/wasm";
import type { Ctx, I32, I64, Row, Size, V128 } from "./ctx.js";
import { allOnes, binary, controlled, dwords, IOTA, rows, shuffle, unary, words, ZERO } from "./vector.js";

const k = (value: number): I32 => i32.const(value);

interface ShiftLanes {
  readonly shl: (x: V128, n: I32) => V128;
  readonly shr_u: (x: V128, n: I32) => V128;
  readonly shr_s: (x: V128, n: I32) => V128;
}

/** A shift of every element by the low quadword of operand 1: counts from the element size on give 0, or the sign. SDM vol. 2, PSLLW. */
const shift = (name: string, bits: number, op: (x: V128, n: I32) => V128, arithmetic = false): Row => ({
  name,
  sizes: [8],
  forms: ["xx", "xi"],
  sse: true,
  emit: (c) => {
    const a = c.getX(0);
    const count = c.get(1);
    const inRange = c.f.let("i32", i64.lt_u(count, i64.const(bits)));
    const n = i32.wrap_i64(count);
    if (arithmetic) c.setX(0, op(a, select(inRange, n, k(bits - 1))));
    else c.setX(0, v128.and(op(a, n), allOnes(inRange)));
  },
});

const shifts = (letter: string, bits: number, lanes: ShiftLanes): Row[] => [
  shift(`psll${letter}`, bits, lanes.shl),
  shift(`psrl${letter}`, bits, lanes.shr_u),
  ...(bits < 64 ? [shift(`psra${letter}`, bits, lanes.shr_s, true)] : []),
];

/** A shift of the register by `count` bytes, at most 16 of them. */
const byteShift = (name: string, indexes: (count: I32) => V128): Row => ({
  name,
  sizes: [8],
  forms: ["xi"],
  sse: true,
  emit: (c) => c.setX(0, i8x16.swizzle(c.getX(0), indexes(select(i32.gt_u(c.imm8(), k(16)), k(16), c.imm8())))),
});

/** Byte indexes of four doublewords selected by pairs of bits of `imm`. */
const dwordControl = (imm: I32): V128 => {
  const pairs = v128.and(i32x4.shr_u(i32x4.mul(i32x4.splat(imm), dwords(64, 16, 4, 1)), k(6)), i32x4.splat(k(3)));
  return i32x4.add(i32x4.mul(pairs, i32x4.splat(k(0x04040404))), i32x4.splat(k(0x03020100)));
};

/** The same for the words of one half; the other half stays. `factors` are 0 there. */
const wordControl = (imm: I32, factors: V128, rest: V128): V128 => {
  const pairs = v128.and(i16x8.shr_u(i16x8.mul(i16x8.splat(imm), factors), k(6)), i16x8.splat(k(3)));
  return i16x8.add(i16x8.mul(pairs, i16x8.splat(k(0x0202))), rest);
};

/** PALIGNR: 16 bytes of `a:b` from byte `imm` on. */
function align(a: V128, b: V128, imm: I32, c: Ctx): V128 {
  const at = c.f.let("v128", i8x16.add_sat_u(IOTA, i8x16.splat(imm)));
  return v128.or(i8x16.swizzle(b, at), i8x16.swizzle(a, i8x16.sub(at, i8x16.splat(k(16)))));
}

/** Element `imm` (modulo their number) of `size` bytes of `x`, zero-extended. */
function element(x: V128, imm: I32, size: Size): I64 {
  const at = i32.mul(i32.and(imm, k(16 / size - 1)), k(size));
  return i64x2.extract_lane(i8x16.swizzle(x, i8x16.add(IOTA, i8x16.splat(at))), 0);
}

const EXTRACT: Readonly<Record<string, Size>> = { pextrb: 1, pextrw: 2, pextrd: 4, pextrq: 8, extractps: 4 };
const INSERT: Readonly<Record<string, Size>> = { pinsrb: 1, pinsrw: 2, pinsrd: 4, pinsrq: 8 };

const splat = (value: I64, size: Size): V128 =>
  size === 8
    ? i64x2.splat(value)
    : size === 4
      ? i32x4.splat(i32.wrap_i64(value))
      : size === 2
        ? i16x8.splat(i32.wrap_i64(value))
        : i8x16.splat(i32.wrap_i64(value));

/** All ones in element `imm` (modulo their number) of `size` bytes. */
function elementMask(imm: I32, size: Size): V128 {
  const shiftBy = k(Math.log2(size));
  return i8x16.eq(i8x16.shr_u(IOTA, shiftBy), i8x16.splat(i32.and(imm, k(16 / size - 1))));
}

/** BLENDxx: element `n` of operand 1 where bit `n` of `imm` is set. */
const blend =
  (size: 2 | 4 | 8) =>
  (a: V128, b: V128, imm: I32): V128 => {
    const bits = Array.from({ length: 16 / size }, (_, n) => 1 << n);
    const chosen =
      size === 2
        ? i16x8.eq(v128.and(i16x8.splat(imm), words(...bits)), words(...bits))
        : shuffle(
            i32x4.eq(v128.and(i32x4.splat(imm), dwords(1, 2, 4, 8)), dwords(1, 2, 4, 8)),
            ZERO,
            4,
            size === 4 ? [0, 1, 2, 3] : [0, 0, 1, 1],
          );
    return v128.bitselect(b, a, chosen);
  };

/** INSERTPS: element imm[7:6] of operand 1 (0 if it was memory) into imm[5:4], then zeros where imm[3:0]. */
function insertSingle(a: V128, b: V128, imm: I32, c: Ctx): V128 {
  const from = i32.shr_u(imm, k(6));
  const value = c.f.let("i64", element(b, from, 4));
  const merged = v128.bitselect(splat(value, 4), a, elementMask(i32.shr_u(imm, k(4)), 4));
  const zeroed = i32x4.eq(v128.and(i32x4.splat(imm), dwords(1, 2, 4, 8)), dwords(1, 2, 4, 8));
  return v128.andnot(merged, zeroed);
}

/** PBLENDVB and its kin: operand 1 where the sign of the element of XMM0 is set. */
const variableBlend =
  (signs: (mask: V128) => V128) =>
  (a: V128, b: V128, c: Ctx): V128 =>
    v128.bitselect(b, a, signs(c.xmm(0)));

/** `op0 = mask of the sign bits of op1`. */
const signMask = (name: string, mask: (x: V128) => I32): Row => ({
  name,
  sizes: [4],
  forms: ["rx"],
  sse: true,
  emit: (c) => c.set(0, i64.extend_i32_u(mask(c.getX(1)))),
});

/** Shifts, shuffles, extraction, insertion and blends. SDM vol. 2. */
export const SSE_SHUFFLE: readonly Row[] = [
  ...shifts("w", 16, i16x8),
  ...shifts("d", 32, i32x4),
  ...shifts("q", 64, i64x2),
  byteShift("pslldq", (n) => i8x16.sub(IOTA, i8x16.splat(n))),
  byteShift("psrldq", (n) => i8x16.add(IOTA, i8x16.splat(n))),
  binary("pshufb", (a, b) => i8x16.swizzle(a, v128.and(b, i8x16.splat(k(0x8f))))),
  ...rows(controlled, {
    pshufd: (_a: V128, b: V128, imm: I32) => i8x16.swizzle(b, dwordControl(imm)),
    pshuflw: (_a: V128, b: V128, imm: I32) =>
      i8x16.swizzle(
        b,
        wordControl(
          imm,
          words(64, 16, 4, 1, 0, 0, 0, 0),
          words(0x100, 0x100, 0x100, 0x100, 0x908, 0xb0a, 0xd0c, 0xf0e),
        ),
      ),
    pshufhw: (_a: V128, b: V128, imm: I32) =>
      i8x16.swizzle(
        b,
        wordControl(
          imm,
          words(0, 0, 0, 0, 64, 16, 4, 1),
          words(0x100, 0x302, 0x504, 0x706, 0x908, 0x908, 0x908, 0x908),
        ),
      ),
    shufps: (a: V128, b: V128, imm: I32, c: Ctx) => {
      const control = c.f.let("v128", dwordControl(imm));
      return shuffle(i8x16.swizzle(a, control), i8x16.swizzle(b, control), 4, [0, 1, 6, 7]);
    },
    shufpd: (a: V128, b: V128, imm: I32) => {
      const low = splat(element(a, imm, 8), 8);
      return shuffle(low, splat(element(b, i32.shr_u(imm, k(1)), 8), 8), 8, [0, 2]);
    },
    palignr: align,
    pblendw: blend(2),
    blendps: blend(4),
    blendpd: blend(8),
    insertps: insertSingle,
  }),
  ...rows<(a: V128) => V128>(unary, {
    movddup: (a) => shuffle(a, a, 8, [0, 0]),
    movsldup: (a) => shuffle(a, a, 4, [0, 0, 2, 2]),
    movshdup: (a) => shuffle(a, a, 4, [1, 1, 3, 3]),
  }),
  ...rows(binary, {
    pblendvb: variableBlend((mask) => i8x16.shr_s(mask, k(7))),
    blendvps: variableBlend((mask) => i32x4.shr_s(mask, k(31))),
    blendvpd: variableBlend((mask) => i64x2.shr_s(mask, k(63))),
  }),
  signMask("pmovmskb", i8x16.bitmask),
  signMask("movmskps", i32x4.bitmask),
  signMask("movmskpd", i64x2.bitmask),
  ...Object.entries(EXTRACT).flatMap(([name, size]): Row[] => {
    const read = (c: Ctx): I64 => element(c.getX(1), c.imm8(), size);
    return [
      // The register is written whole: 32 bits zero-extended, or 64.
      { name, sizes: [size === 8 ? 8 : 4], forms: ["rxi"], sse: true, emit: (c) => c.set(0, trim(read(c), size)) },
      { name: `${name}.m`, sizes: [size], forms: ["mxi"], sse: true, emit: (c) => c.set(0, read(c)) },
    ];
  }),
  ...Object.entries(INSERT).map(
    ([name, size]): Row => ({
      name,
      sizes: [8],
      forms: ["xri"],
      sse: true,
      emit: (c) => {
        const value = c.get(1);
        c.setX(0, v128.bitselect(splat(value, size), c.getX(0), elementMask(c.imm8(), size)));
      },
    }),
  ),
];

function trim(value: I64, size: Size): I64 {
  return size === 8 ? value : i64.and(value, i64.const2(size === 4 ? -1 : (1 << (8 * size)) - 1, 0));
}

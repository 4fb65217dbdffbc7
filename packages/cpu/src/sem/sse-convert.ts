import { f32, f32x4, f64, f64x2, i32, i32x4, i64, i64x2, select } from "@vm/wasm";
import type { Ctx, I32, I64, Row, Size } from "./ctx.js";
import {
  nearest,
  normal32,
  normal64,
  ordinary32,
  ordinary64,
  ordinaryX,
  relaxed,
  SINGLE,
  zero32,
  zero64,
} from "./float-checks.js";

const row = (name: string, sizes: readonly Size[], forms: readonly string[], emit: (c: Ctx) => void): Row => ({
  name,
  sizes,
  forms,
  sse: true,
  emit,
});

/** Truncated or rounded to an integer of the destination's size, as a float: exact, or acceptable when inexactness loses nothing. */
const toInteger = (name: string, source: 4 | 8, truncate: boolean): Row =>
  row(name, [4, 8], ["rx"], (c) => {
    const bits = c.get(1, source);
    const x = c.f.let(
      "f64",
      source === 8 ? f64.reinterpret_i64(bits) : f64.promote_f32(f32.reinterpret_i32(i32.wrap_i64(bits))),
    );
    const limit = c.size === 8 ? 2 ** 63 : 2 ** 31;
    // The rounded value may be the limit itself, which does not fit; truncation makes no value larger.
    const rounded = c.f.let("f64", truncate ? x : f64.nearest(x));
    const r = c.f.let("i64", i64.trunc_sat_f64_s(rounded));
    const inRange = f64.lt(f64.abs(rounded), f64.const(limit));
    const exact = f64.eq(f64.convert_i64_s(r), x);
    c.if(
      i32.and(inRange, i32.or(relaxed(c), exact)),
      () => c.set(0, r),
      () => c.outside(`${name}${c.size}`),
    );
  });

/** CVTSI2SD: 32 bits fit exactly, 64 bits may be rounded. */
const fromInteger = (name: string, target: 4 | 8): Row =>
  row(name, [4, 8], ["xr"], (c) => {
    const raw = c.get(1);
    const x = c.size === 8 ? raw : i64.extend32_s(raw);
    if (target === 8) {
      const r = c.f.let("f64", f64.convert_i64_s(x));
      if (c.size === 4) return c.setXLow(0, i64.reinterpret_f64(r), 8);
      // Magnitudes up to 2^53 are exact.
      const exact = i64.le_u(i64.add(raw, i64.const(2 ** 52)), i64.const(2 ** 53 - 1));
      c.if(
        i32.or(relaxed(c), exact),
        () => c.setXLow(0, i64.reinterpret_f64(r), 8),
        () => c.outside(`${name}8`),
      );
      return;
    }
    const exact = i64.le_u(i64.add(x, i64.const(2 ** 23)), i64.const(2 ** 24 - 1));
    c.if(
      i32.or(relaxed(c), exact),
      () => c.setXLow(0, i64.extend_i32_u(i32.reinterpret_f32(f32.convert_i64_s(x))), 4),
      () => c.outside(`${name}${c.size}`),
    );
  });

const widen = (bits: I32): I64 => i64.reinterpret_f64(f64.promote_f32(f32.reinterpret_i32(bits)));

/** CVTPS2DQ and CVTTPS2DQ of elements that fit. */
const singlesToIntegers = (
  name: string,
  round: (x: ReturnType<typeof f32.nearest>) => ReturnType<typeof f32.nearest>,
): Row =>
  row(name, [8], ["xx"], (c) => {
    const x = c.getX(1);
    const lane = (n: number): I32 => i32.trunc_sat_f32_s(round(f32x4.extract_lane(x, n)));
    const limit = f32x4.splat(f32.const(2 ** 31));
    c.if(
      i32.and(relaxed(c), i32.eq(i32x4.bitmask(f32x4.lt(f32x4.abs(x), limit)), i32.const(15))),
      () => {
        const first = i32x4.replace_lane(i32x4.splat(lane(0)), 1, lane(1));
        c.setX(0, i32x4.replace_lane(i32x4.replace_lane(first, 2, lane(2)), 3, lane(3)));
      },
      () => c.outside(name),
    );
  });

/** ROUNDSx with the mode in imm[1:0] (imm[2] clear) of an ordinary number; imm[3] says that inexactness does not matter. */
const rounding = (name: string, size: 4 | 8): Row =>
  row(name, [8], ["xxi"], (c) => {
    const bits = c.get(1, size);
    const imm = c.f.let("i32", c.imm8());
    const bit = (n: number): I32 => i32.and(imm, i32.const(n));
    const ordinary = size === 8 ? ordinary64(bits) : ordinary32(i32.wrap_i64(bits));
    const store = (r: I64): void => {
      c.if(
        i32.or(bit(8), i32.or(relaxed(c), i64.eq(r, bits))),
        () => c.setXLow(0, r, size),
        () => c.outside(name),
      );
    };
    c.if(
      i32.and(ordinary, i32.eqz(bit(4))),
      () => {
        // 0 nearest, 1 down, 2 up, 3 towards zero.
        if (size === 8) {
          const x = f64.reinterpret_i64(bits);
          const odd = select(bit(2), f64.trunc(x), f64.floor(x));
          const even = select(bit(2), f64.ceil(x), f64.nearest(x));
          store(c.f.let("i64", i64.reinterpret_f64(select(bit(1), odd, even))));
        } else {
          const x = f32.reinterpret_i32(i32.wrap_i64(bits));
          const odd = select(bit(2), f32.trunc(x), f32.floor(x));
          const even = select(bit(2), f32.ceil(x), f32.nearest(x));
          store(c.f.let("i64", i64.extend_i32_u(i32.reinterpret_f32(select(bit(1), odd, even)))));
        }
      },
      () => c.outside(name),
    );
  });

const outside = (name: string, form = "xx"): Row => row(name, [8], [form], (c) => c.outside(name));

/** Conversions, and what is always computed in TypeScript. SDM vol. 1, 11.4.1.6. */
export const SSE_CONVERT: readonly Row[] = [
  toInteger("cvttsd2si", 8, true),
  toInteger("cvttss2si", 4, true),
  toInteger("cvtsd2si", 8, false),
  toInteger("cvtss2si", 4, false),
  fromInteger("cvtsi2sd", 8),
  fromInteger("cvtsi2ss", 4),
  row("cvtss2sd", [8], ["xx"], (c) => {
    const x = c.f.let("i32", i32.wrap_i64(c.get(1, 4)));
    c.if(
      i32.or(normal32(x), zero32(x)),
      () => c.setXLow(0, widen(x), 8),
      () => c.outside("cvtss2sd"),
    );
  }),
  row("cvtsd2ss", [8], ["xx"], (c) => {
    const x = c.get(1, 8);
    const r = c.f.let("i32", i32.reinterpret_f32(f32.demote_f64(f64.reinterpret_i64(x))));
    const exact = i64.eq(widen(r), x);
    const fine = i32.or(i32.and(normal64(x), normal32(r)), zero64(x));
    c.if(
      i32.and(fine, i32.or(relaxed(c), i32.and(nearest(c), exact))),
      () => c.setXLow(0, i64.extend_i32_u(r), 4),
      () => c.outside("cvtsd2ss"),
    );
  }),
  row("cvtdq2pd", [8], ["xx"], (c) => {
    const x = c.getX(1);
    const lane = (n: number) => f64.convert_i32_s(i32x4.extract_lane(x, n));
    c.setX(0, f64x2.replace_lane(f64x2.splat(lane(0)), 1, lane(1)));
  }),
  row("cvtdq2ps", [8], ["xx"], (c) => {
    const x = c.getX(1);
    const lane = (n: number) => f32.convert_i32_s(i32x4.extract_lane(x, n));
    c.if(
      relaxed(c),
      () => {
        const first = f32x4.replace_lane(f32x4.splat(lane(0)), 1, lane(1));
        c.setX(0, f32x4.replace_lane(f32x4.replace_lane(first, 2, lane(2)), 3, lane(3)));
      },
      () => c.outside("cvtdq2ps"),
    );
  }),
  row("cvtps2pd", [8], ["xx"], (c) => {
    const x = c.getX(1);
    const lane = (n: number): I64 => widen(i32x4.extract_lane(x, n));
    // Only the low two elements count.
    c.if(
      i32.eq(i32.and(i32x4.bitmask(ordinaryX(SINGLE, x)), i32.const(3)), i32.const(3)),
      () => c.setX(0, i64x2.replace_lane(i64x2.splat(lane(0)), 1, lane(1))),
      () => c.outside("cvtps2pd"),
    );
  }),
  singlesToIntegers("cvttps2dq", (x) => x),
  singlesToIntegers("cvtps2dq", f32.nearest),
  rounding("roundsd", 8),
  rounding("roundss", 4),
  ..."cvtpd2ps cvtpd2dq cvttpd2dq".split(" ").map((name) => outside(name)),
  ..."addsubps addsubpd haddps haddpd hsubps hsubpd rcpss rcpps rsqrtss rsqrtps"
    .split(" ")
    .map((name) => outside(name)),
  ..."roundps roundpd dpps dppd".split(" ").map((name) => outside(name, "xxi")),
  ..."cvtpi2ps cvtpi2pd cvtps2pi cvttps2pi cvtpd2pi cvttpd2pi".split(" ").map((name) => outside(name)),
  ..."aesenc aesenclast aesdec aesdeclast aesimc sha1nexte sha1msg1 sha1msg2 sha256rnds2 sha256msg1 sha256msg2 phminposuw"
    .split(" ")
    .map((name) => outside(name)),
  ..."aeskeygenassist pclmulqdq sha1rnds4".split(" ").map((name) => outside(name, "xxi")),
  ..."pcmpestrm pcmpestrm64 pcmpestri pcmpestri64 pcmpistrm pcmpistri"
    .split(" ")
    .map((name): Row => ({ ...outside(name, "xxi"), unaligned: true })),
  outside("mpsadbw", "xxi"),
];

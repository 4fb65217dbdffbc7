import { f32, f32x4, f64, f64x2, i32, i32x4, i64 } from "@vm/wasm";
import type { Ctx, I32, I64, Row, Size } from "./ctx.js";
import { nearest, normal32, normal64, relaxed, zero32, zero64 } from "./float-checks.js";

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
    c.f.if(
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
      c.f.if(
        i32.or(relaxed(c), exact),
        () => c.setXLow(0, i64.reinterpret_f64(r), 8),
        () => c.outside(`${name}8`),
      );
      return;
    }
    const exact = i64.le_u(i64.add(x, i64.const(2 ** 23)), i64.const(2 ** 24 - 1));
    c.f.if(
      i32.or(relaxed(c), exact),
      () => c.setXLow(0, i64.extend_i32_u(i32.reinterpret_f32(f32.convert_i64_s(x))), 4),
      () => c.outside(`${name}${c.size}`),
    );
  });

const widen = (bits: I32): I64 => i64.reinterpret_f64(f64.promote_f32(f32.reinterpret_i32(bits)));

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
    c.f.if(
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
    c.f.if(
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
    c.f.if(
      relaxed(c),
      () => {
        const first = f32x4.replace_lane(f32x4.splat(lane(0)), 1, lane(1));
        c.setX(0, f32x4.replace_lane(f32x4.replace_lane(first, 2, lane(2)), 3, lane(3)));
      },
      () => c.outside("cvtdq2ps"),
    );
  }),
  ..."cvtps2pd cvtpd2ps cvtps2dq cvttps2dq cvtpd2dq cvttpd2dq".split(" ").map((name) => outside(name)),
  ..."addsubps addsubpd haddps haddpd hsubps hsubpd rcpss rcpps rsqrtss rsqrtps"
    .split(" ")
    .map((name) => outside(name)),
  ..."roundss roundsd roundps roundpd dpps dppd".split(" ").map((name) => outside(name, "xxi")),
  ..."cvtpi2ps cvtpi2pd cvtps2pi cvttps2pi cvtpd2pi cvttpd2pi".split(" ").map((name) => outside(name)),
  ..."aesenc aesenclast aesdec aesdeclast aesimc sha1nexte sha1msg1 sha1msg2 sha256rnds2 sha256msg1 sha256msg2 phminposuw"
    .split(" ")
    .map((name) => outside(name)),
  ..."aeskeygenassist pclmulqdq sha1rnds4 pcmpestrm pcmpestrm64 pcmpestri pcmpestri64 pcmpistrm pcmpistri mpsadbw"
    .split(" ")
    .map((name) => outside(name, "xxi")),
];

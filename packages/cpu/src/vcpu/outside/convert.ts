import { Round } from "../../softfloat/index.js";
import { begin, finish, unit } from "./float.js";
import type { Operands, OutsideOperation } from "./operands.js";

const out = new Int32Array(4);

/** Runs each step and collects `words` doublewords of each result; writes them followed by `zeros` zero doublewords. */
const convert =
  (count: number, words: 1 | 2, step: (o: Operands, n: number) => void, zeros = 0): OutsideOperation =>
  (o) => {
    begin(o);
    for (let n = 0; n < count; n++) {
      step(o, n);
      out[words * n] = unit.lo;
      if (words === 2) out[2 * n + 1] = unit.hi;
    }
    const end = words * count;
    out.fill(0, end);
    return finish(o) && o.writeFirst(out, end + zeros);
  };

const dword =
  (f: (x: number) => void) =>
  (o: Operands, n: number): void =>
    f(o.b(n));
const qword =
  (f: (lo: number, hi: number) => void) =>
  (o: Operands, n: number): void =>
    f(o.b(2 * n), o.b(2 * n + 1));

const f32ToI32 = dword((x) => unit.f32ToI32(x));
const f32ToI32t = dword((x) => unit.f32ToI32(x, Round.Zero));
const f64ToI32 = qword((lo, hi) => unit.f64ToI32(lo, hi));
const f64ToI32t = qword((lo, hi) => unit.f64ToI32(lo, hi, Round.Zero));
const f32ToI64 = dword((x) => unit.f32ToI64(x));
const f32ToI64t = dword((x) => unit.f32ToI64(x, Round.Zero));
const f64ToI64 = qword((lo, hi) => unit.f64ToI64(lo, hi));
const f64ToI64t = qword((lo, hi) => unit.f64ToI64(lo, hi, Round.Zero));
const i32ToF32 = dword((x) => unit.i32ToF32(x));
const i32ToF64 = dword((x) => unit.i32ToF64(x));
const i64ToF32 = qword((lo, hi) => unit.i64ToF32(lo, hi));
const i64ToF64 = qword((lo, hi) => unit.i64ToF64(lo, hi));
const f32ToF64 = dword((x) => unit.f32ToF64(x));
const f64ToF32 = qword((lo, hi) => unit.f64ToF32(lo, hi));

/** Conversions; a general register of 32 bits is written whole, so a zero follows. The `pi` forms have an MMX register on one side. */
export const CONVERSIONS: Readonly<Record<string, OutsideOperation>> = {
  cvtsi2ss4: convert(1, 1, i32ToF32),
  cvtsi2ss8: convert(1, 1, i64ToF32),
  cvtsi2sd4: convert(1, 2, i32ToF64),
  cvtsi2sd8: convert(1, 2, i64ToF64),
  cvtss2si4: convert(1, 1, f32ToI32, 1),
  cvttss2si4: convert(1, 1, f32ToI32t, 1),
  cvtsd2si4: convert(1, 1, f64ToI32, 1),
  cvttsd2si4: convert(1, 1, f64ToI32t, 1),
  cvtss2si8: convert(1, 2, f32ToI64),
  cvttss2si8: convert(1, 2, f32ToI64t),
  cvtsd2si8: convert(1, 2, f64ToI64),
  cvttsd2si8: convert(1, 2, f64ToI64t),
  cvtss2sd: convert(1, 2, f32ToF64),
  cvtsd2ss: convert(1, 1, f64ToF32),
  cvtps2pd: convert(2, 2, f32ToF64),
  cvtpd2ps: convert(2, 1, f64ToF32, 2),
  cvtdq2ps: convert(4, 1, i32ToF32),
  cvtps2dq: convert(4, 1, f32ToI32),
  cvttps2dq: convert(4, 1, f32ToI32t),
  cvtpd2dq: convert(2, 1, f64ToI32, 2),
  cvttpd2dq: convert(2, 1, f64ToI32t, 2),
  cvtpi2ps: convert(2, 1, i32ToF32),
  cvtpi2pd: convert(2, 2, i32ToF64),
  cvtps2pi: convert(2, 1, f32ToI32),
  cvttps2pi: convert(2, 1, f32ToI32t),
  cvtpd2pi: convert(2, 1, f64ToI32),
  cvttpd2pi: convert(2, 1, f64ToI32t),
};

import { f32, f32x4, f64, f64x2, i32, i32x4, i64, i64x2, select, v128 } from "@vm/wasm";
import type { Ctx, I32, I64, Local64, Row, V128 } from "./ctx.js";
import {
  all,
  DOUBLE,
  F64_ABS,
  type Lanes,
  nearest,
  normal32,
  normal64,
  normalX,
  ordinary32,
  ordinary64,
  ordinaryX,
  relaxed,
  SINGLE,
  zero32,
  zero64,
  zeroX,
} from "./float-checks.js";
import { allOnes } from "./vector.js";

const k = (value: number): I32 => i32.const(value);

type Shape = "sum" | "product" | "quotient" | "root" | "choice";

interface Operation {
  readonly shape: Shape;
  readonly f64?: (a: ReturnType<typeof f64.const>, b: ReturnType<typeof f64.const>) => ReturnType<typeof f64.const>;
  readonly f32?: (a: ReturnType<typeof f32.const>, b: ReturnType<typeof f32.const>) => ReturnType<typeof f32.const>;
  readonly pd: (a: V128, b: V128) => V128;
  readonly ps: (a: V128, b: V128) => V128;
}

/** MINSS is `a < b ? a : b`, which is wasm's pmin with the operands exchanged; SQRT takes operand 1. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  add: { shape: "sum", f64: f64.add, f32: f32.add, pd: f64x2.add, ps: f32x4.add },
  sub: { shape: "sum", f64: f64.sub, f32: f32.sub, pd: f64x2.sub, ps: f32x4.sub },
  mul: { shape: "product", f64: f64.mul, f32: f32.mul, pd: f64x2.mul, ps: f32x4.mul },
  div: { shape: "quotient", f64: f64.div, f32: f32.div, pd: f64x2.div, ps: f32x4.div },
  sqrt: {
    shape: "root",
    f64: (_, b) => f64.sqrt(b),
    f32: (_, b) => f32.sqrt(b),
    pd: (_, b) => f64x2.sqrt(b),
    ps: (_, b) => f32x4.sqrt(b),
  },
  min: {
    shape: "choice",
    f64: (a, b) => select(f64.lt(a, b), a, b),
    f32: (a, b) => select(f32.lt(a, b), a, b),
    pd: (a, b) => f64x2.pmin(b, a),
    ps: (a, b) => f32x4.pmin(b, a),
  },
  max: {
    shape: "choice",
    f64: (a, b) => select(f64.gt(a, b), a, b),
    f32: (a, b) => select(f32.gt(a, b), a, b),
    pd: (a, b) => f64x2.pmax(b, a),
    ps: (a, b) => f32x4.pmax(b, a),
  },
};

const row = (name: string, forms: readonly string[], emit: (c: Ctx) => void, size: 4 | 8 = 8): Row => ({
  name,
  sizes: [size],
  forms,
  sse: true,
  emit,
});

/** Whether the result of a scalar operation is what x86 gives, but for inexactness. */
const fine64 = (shape: Shape, a: I64, b: I64, r: I64): I32 => {
  switch (shape) {
    case "sum":
      return all(ordinary64(a), ordinary64(b), i64.lt_u(i64.and(r, F64_ABS), i64.const2(0, 0x7ff00000)));
    case "product":
      return all(ordinary64(a), ordinary64(b), i32.or(normal64(r), i32.or(zero64(a), zero64(b))));
    case "quotient":
      return all(ordinary64(a), normal64(b), i32.or(normal64(r), zero64(a)));
    case "root":
      return i32.and(i64.ge_s(b, i64.const(0)), ordinary64(b));
    case "choice":
      return i32.and(ordinary64(a), ordinary64(b));
  }
};
const fine32 = (shape: Shape, a: I32, b: I32, r: I32): I32 => {
  switch (shape) {
    case "sum":
      return all(ordinary32(a), ordinary32(b), i32.lt_u(i32.and(r, k(0x7fffffff)), k(0x7f800000)));
    case "product":
      return all(ordinary32(a), ordinary32(b), i32.or(normal32(r), i32.or(zero32(a), zero32(b))));
    case "quotient":
      return all(ordinary32(a), normal32(b), i32.or(normal32(r), zero32(a)));
    case "root":
      return i32.and(i32.ge_s(b, k(0)), ordinary32(b));
    case "choice":
      return i32.and(ordinary32(a), ordinary32(b));
  }
};
const fineX = (shape: Shape, l: Lanes, a: V128, b: V128, r: V128): I32 => {
  const operands = v128.and(ordinaryX(l, a), ordinaryX(l, b));
  switch (shape) {
    case "sum":
      return l.all(v128.and(operands, l.le(l.abs(r), l.largest)));
    case "product":
      return l.all(v128.and(operands, v128.or(normalX(l, r), v128.or(zeroX(l, a), zeroX(l, b)))));
    case "quotient":
      return l.all(v128.and(operands, v128.and(normalX(l, b), v128.or(normalX(l, r), zeroX(l, a)))));
    case "root":
      return l.all(v128.and(ordinaryX(l, b), l.ge(b, v128.const(new Uint8Array(16)))));
    case "choice":
      return l.all(operands);
  }
};

/** An exact result, recognised cheaply (some exact ones are missed). Only asked for ordinary numbers. */
function exact64(shape: Shape, op: NonNullable<Operation["f64"]>, a: I64, b: I64, r: I64): I32 {
  const [x, y, z] = [f64.reinterpret_i64(a), f64.reinterpret_i64(b), f64.reinterpret_i64(r)];
  const short = (v: I64): I32 => i64.eqz(i64.and(v, i64.const(0x3ffffff)));
  switch (shape) {
    case "sum": {
      // The error of a sum, by Knuth: (a - (r - b')) + (b - b') with b' = r - a, for +b or -b.
      const signed = op === f64.sub ? f64.neg(y) : y;
      const part = f64.sub(z, x);
      return f64.eq(f64.add(f64.sub(x, f64.sub(z, part)), f64.sub(signed, part)), f64.const(0));
    }
    case "product":
      return i32.and(short(a), short(b));
    case "quotient":
      return all(short(r), short(b), f64.eq(f64.mul(z, y), x));
    case "root":
      return i32.and(short(r), f64.eq(f64.mul(z, z), y));
    case "choice":
      return k(1);
  }
}

/** Scalar doubles. */
const sd = (name: string, { shape, f64: op }: Operation): Row =>
  row(`${name}sd`, ["xx"], (c) => {
    if (op === undefined) return c.outside(`${name}sd`);
    const a = c.get(0, 8);
    const b = c.get(1, 8);
    const r = c.f.let("i64", i64.reinterpret_f64(op(f64.reinterpret_i64(a), f64.reinterpret_i64(b))));
    const fine = fine64(shape, a, b, r);
    const enough =
      shape === "choice" ? fine : i32.and(fine, i32.or(relaxed(c), i32.and(nearest(c), exact64(shape, op, a, b, r))));
    c.if(
      enough,
      () => c.setXLow(0, r, 8),
      () => c.outside(`${name}sd`),
    );
  });

/** Scalar singles; an operation done in double precision tells whether the result is exact. */
const ss = (name: string, { shape, f32: op, f64: wide }: Operation): Row =>
  row(`${name}ss`, ["xx"], (c) => {
    if (op === undefined || wide === undefined) return c.outside(`${name}ss`);
    const a = c.f.let("i32", i32.wrap_i64(c.get(0, 4)));
    const b = c.f.let("i32", i32.wrap_i64(c.get(1, 4)));
    const [x, y] = [f32.reinterpret_i32(a), f32.reinterpret_i32(b)];
    const r = c.f.let("i32", i32.reinterpret_f32(op(x, y)));
    const fine = fine32(shape, a, b, r);
    const [p, q] = [f64.promote_f32(x), f64.promote_f32(y)];
    const back = f64.promote_f32(f32.reinterpret_i32(r));
    const exact =
      shape === "quotient"
        ? f64.eq(f64.mul(back, q), p)
        : shape === "root"
          ? f64.eq(f64.mul(back, back), q)
          : f64.eq(wide(p, q), back);
    // A sum in double precision may itself be inexact; it is not if either operand comes back.
    const signed = name === "sub" ? f64.neg(q) : q;
    const sure =
      shape === "sum"
        ? all(exact, f64.eq(f64.sub(wide(p, q), p), signed), f64.eq(f64.sub(wide(p, q), signed), p))
        : exact;
    c.if(
      shape === "choice" ? fine : i32.and(fine, i32.or(relaxed(c), i32.and(nearest(c), sure))),
      () => c.setXLow(0, i64.extend_i32_u(r), 4),
      () => c.outside(`${name}ss`),
    );
  });

const packed = (name: string, suffix: "ps" | "pd", operation: Operation): Row =>
  row(name + suffix, ["xx"], (c) => {
    const a = c.getX(0);
    const b = c.getX(1);
    const r = c.f.let("v128", operation[suffix](a, b));
    const { shape } = operation;
    const fine = fineX(shape, suffix === "ps" ? SINGLE : DOUBLE, shape === "root" ? b : a, b, r);
    c.if(
      shape === "choice" ? fine : i32.and(relaxed(c), fine),
      () => c.setX(0, r),
      () => c.outside(name + suffix),
    );
  });

/** UCOMISx and COMISx of ordinary numbers: nothing in MXCSR matters. */
const comparison = (name: string, size: 4 | 8): Row =>
  row(name, ["xx"], (c) => {
    const a = c.get(0, size);
    const b = c.get(1, size);
    const single = (x: Local64): I32 => i32.wrap_i64(x);
    c.if(
      size === 8 ? i32.and(ordinary64(a), ordinary64(b)) : i32.and(ordinary32(single(a)), ordinary32(single(b))),
      () => {
        const x = size === 8 ? f64.reinterpret_i64(a) : f64.promote_f32(f32.reinterpret_i32(single(a)));
        const y = size === 8 ? f64.reinterpret_i64(b) : f64.promote_f32(f32.reinterpret_i32(single(b)));
        c.flags.compare(f64.eq(x, y), f64.lt(x, y));
      },
      () => c.outside(name),
    );
  });

/** CMPxx of ordinary numbers: equal and less, combined as the predicate in imm[2:0] says. SDM vol. 2, table 3-1. */
const predicate = (name: string, l: Lanes, scalar: 0 | 4 | 8): Row =>
  row(name, ["xxi"], (c) => {
    const a = c.getX(0);
    const b = c.getX(1);
    const imm = c.f.let("i32", c.imm8());
    const ordinary = v128.and(ordinaryX(l, a), ordinaryX(l, b));
    const bit = (value: I32): I32 => i32.and(value, k(1));
    const low = scalar === 4 ? i32.and(i32x4.bitmask(ordinary), k(1)) : i32.and(i64x2.bitmask(ordinary), k(1));
    c.if(
      scalar === 0 ? l.all(ordinary) : low,
      () => {
        const equal = v128.and(l.eq(a, b), allOnes(i32.eqz(bit(imm))));
        const less = v128.and(l.lt(a, b), allOnes(bit(i32.xor(imm, i32.shr_u(imm, k(1))))));
        const r = v128.xor(v128.or(equal, less), allOnes(bit(i32.shr_u(imm, k(2)))));
        if (scalar === 0) c.setX(0, r);
        else c.setXLow(0, i64x2.extract_lane(r, 0), scalar);
      },
      () => c.outside(name),
    );
  });

/** SSE and SSE2 arithmetic and comparison. SDM vol. 1, 10.4.1 and 11.4.1. */
export const SSE_FLOAT: readonly Row[] = [
  ...Object.entries(OPERATIONS).flatMap(([name, operation]) => [
    sd(name, operation),
    ss(name, operation),
    packed(name, "ps", operation),
    packed(name, "pd", operation),
  ]),
  comparison("comiss", 4),
  comparison("ucomiss", 4),
  comparison("comisd", 8),
  comparison("ucomisd", 8),
  predicate("cmpps", SINGLE, 0),
  predicate("cmppd", DOUBLE, 0),
  predicate("cmpss", SINGLE, 4),
  predicate("cmpsd", DOUBLE, 8),
];

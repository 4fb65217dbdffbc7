import { f32x4, f64x2, i32, i32x4, i64, i64x2, v128 } from "@vm/wasm";
import type { Ctx, I32, I64, V128 } from "./ctx.js";
import { dwords } from "./vector.js";

/**
 * Floating-point arithmetic. wasm rounds to nearest and has no exceptions, so its instructions are used only where they cannot be told
 * from x86: operands and result are ordinary numbers, and MXCSR either asks for nothing else (`relaxed`) or the result is exact.
 * Everything else is computed exactly in TypeScript.
 */
const k = (value: number): I32 => i32.const(value);

/** Bits 52-62 of a double that is the smallest normal number; the range of normal ones. */
const F64_MIN = i64.const2(0, 0x00100000);
const F64_RANGE = i64.const2(0, 0x7fe00000);
export const F64_ABS = i64.const2(-1, 0x7fffffff);
const F32_MIN = k(0x00800000);
const F32_RANGE = k(0x7f000000);

/** Round to nearest, every exception masked, inexactness already noted, denormals as they are: the fast path loses nothing. */
export const relaxed = (c: Ctx): I32 => i32.eq(i32.and(c.mxcsr(), k(0xffe0)), k(0x1fa0));
/** The same without inexactness: an exact result loses nothing. */
export const nearest = (c: Ctx): I32 => i32.eq(i32.and(c.mxcsr(), k(0xffc0)), k(0x1f80));

export const normal64 = (x: I64): I32 => i64.lt_u(i64.sub(i64.and(x, F64_ABS), F64_MIN), F64_RANGE);
export const zero64 = (x: I64): I32 => i64.eqz(i64.shl(x, i64.const(1)));
export const ordinary64 = (x: I64): I32 => i32.or(normal64(x), zero64(x));
export const normal32 = (x: I32): I32 => i32.lt_u(i32.sub(i32.and(x, k(0x7fffffff)), F32_MIN), F32_RANGE);
export const zero32 = (x: I32): I32 => i32.eqz(i32.shl(x, k(1)));
export const ordinary32 = (x: I32): I32 => i32.or(normal32(x), zero32(x));
export const all = (...conditions: readonly I32[]): I32 => conditions.reduce((a, b) => i32.and(a, b));

const allDwords = (mask: V128): I32 => i32.eq(i32x4.bitmask(mask), k(15));
const allQwords = (mask: V128): I32 => i32.eq(i64x2.bitmask(mask), k(3));
const F32_SMALLEST = dwords(0x00800000, 0x00800000, 0x00800000, 0x00800000);
const F32_LARGEST = dwords(0x7f7fffff, 0x7f7fffff, 0x7f7fffff, 0x7f7fffff);
const F64_SMALLEST = dwords(0, 0x00100000, 0, 0x00100000);
const F64_LARGEST = dwords(-1, 0x7fefffff, -1, 0x7fefffff);

/** The operations of one element type on vectors. */
export interface Lanes {
  readonly abs: (x: V128) => V128;
  readonly ge: (a: V128, b: V128) => V128;
  readonly le: (a: V128, b: V128) => V128;
  readonly eq: (a: V128, b: V128) => V128;
  readonly lt: (a: V128, b: V128) => V128;
  readonly smallest: V128;
  readonly largest: V128;
  readonly all: (mask: V128) => I32;
}
export const SINGLE: Lanes = { ...f32x4, smallest: F32_SMALLEST, largest: F32_LARGEST, all: allDwords };
export const DOUBLE: Lanes = { ...f64x2, smallest: F64_SMALLEST, largest: F64_LARGEST, all: allQwords };

export const normalX = (l: Lanes, x: V128): V128 => v128.and(l.ge(l.abs(x), l.smallest), l.le(l.abs(x), l.largest));
export const zeroX = (l: Lanes, x: V128): V128 => l.eq(x, v128.const(new Uint8Array(16)));
export const ordinaryX = (l: Lanes, x: V128): V128 => v128.or(normalX(l, x), zeroX(l, x));

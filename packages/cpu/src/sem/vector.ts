import { i8x16, i32, i32x4, i64, i64x2, v128 } from "@vm/wasm";
import type { Ctx, I32, Row, V128 } from "./ctx.js";

/** Vocabulary of the vector instructions. */

export const ZERO: V128 = v128.const(new Uint8Array(16));

/** A constant from 16 bytes, 8 words, 4 doublewords. */
export const bytes = (...values: number[]): V128 => v128.const(Uint8Array.from(values));
export const words = (...values: number[]): V128 => v128.const(new Uint8Array(Uint16Array.from(values).buffer));
export const dwords = (...values: number[]): V128 => v128.const(new Uint8Array(Uint32Array.from(values).buffer));

/** 0, 1, 2, ... 15. */
export const IOTA: V128 = bytes(...Array.from({ length: 16 }, (_, k) => k));

/** Bytes of the pieces of `size` bytes numbered `order`; those from 16 / size on are the second vector's. */
export const pieces = (size: number, order: readonly number[]): number[] =>
  order.flatMap((piece) => Array.from({ length: size }, (_, k) => piece * size + k));

/** Pieces of `a` and `b` in the order of `order`, e.g. [0, 4, 1, 5] with size 4 to interleave the low halves. */
export const shuffle = (a: V128, b: V128, size: number, order: readonly number[]): V128 =>
  i8x16.shuffle(a, b, pieces(size, order));

/** Numbers of the even or odd pieces of two vectors. */
export const everyOther = (size: number, first: 0 | 1): number[] =>
  Array.from({ length: 16 / size }, (_, k) => 2 * k + first);

/** Numbers that interleave the low or high halves of two vectors. */
export function interleave(size: number, high: boolean): number[] {
  const half = 8 / size;
  return Array.from({ length: half }, (_, k) => k + (high ? half : 0)).flatMap((k) => [k, k + 2 * half]);
}

/** All ones where `condition`, as a vector. */
export const allOnes = (condition: I32): V128 => i32x4.splat(negated(condition));

/** -x. */
export const negated = (x: I32): I32 => i32.sub(i32.const(0), x);

/** `op0 = f(op0, op1)` on whole registers. */
export const binary = (name: string, result: (a: V128, b: V128, c: Ctx) => V128): Row => ({
  name,
  sizes: [8],
  forms: ["xx"],
  sse: true,
  emit: (c) => {
    const a = c.getX(0);
    const b = c.getX(1);
    c.setX(0, result(a, b, c));
  },
});

/** `op0 = f(op1)`. */
export const unary = (name: string, result: (a: V128, c: Ctx) => V128): Row => ({
  name,
  sizes: [8],
  forms: ["xx"],
  sse: true,
  emit: (c) => c.setX(0, result(c.getX(1), c)),
});

/** `op0 = f(op0, op1, imm8)`. */
export const controlled = (name: string, result: (a: V128, b: V128, imm: I32, c: Ctx) => V128): Row => ({
  name,
  sizes: [8],
  forms: ["xxi"],
  sse: true,
  emit: (c) => {
    const a = c.getX(0);
    const b = c.getX(1);
    c.setX(0, result(a, b, c.f.let("i32", c.imm8()), c));
  },
});

/** Rows of a table mnemonic -> result. */
export const rows = <F>(make: (name: string, f: F) => Row, table: Readonly<Record<string, F>>): Row[] =>
  Object.entries(table).map(([name, f]) => make(name, f));

/** Low 8 bytes of `x` with the rest zero. */
export const lowHalf = (x: V128): V128 => i64x2.replace_lane(x, 1, i64.const(0));

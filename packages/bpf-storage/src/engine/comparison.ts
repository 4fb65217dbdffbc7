import { type Expr, i32, i64 } from "@vm/wasm";
import type { Machine } from "./machine.js";
import type { Comparison } from "./operation.js";

/** Conditions of jumps (RFC 9669, 4.3). */

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

const WORD: Readonly<Record<Comparison, (a: I32, b: I32) => I32>> = {
  eq: i32.eq,
  gt: i32.gt_u,
  ge: i32.ge_u,
  set: i32.and,
  ne: i32.ne,
  sgt: i32.gt_s,
  sge: i32.ge_s,
  lt: i32.lt_u,
  le: i32.le_u,
  slt: i32.lt_s,
  sle: i32.le_s,
};
const DOUBLE: Readonly<Record<Comparison, (a: I64, b: I64) => I32>> = {
  eq: i64.eq,
  gt: i64.gt_u,
  ge: i64.ge_u,
  set: (a, b) => i64.ne(i64.and(a, b), i64.const(0)),
  ne: i64.ne,
  sgt: i64.gt_s,
  sge: i64.ge_s,
  lt: i64.lt_u,
  le: i64.le_u,
  slt: i64.lt_s,
  sle: i64.le_s,
};

/** Not 0 if the jump is taken. */
export function condition(m: Machine, op: Comparison, wide: boolean, immediate: boolean): I32 {
  return wide
    ? DOUBLE[op](m.get64("dst"), immediate ? m.immediate64() : m.get64("src"))
    : WORD[op](m.get32("dst"), immediate ? m.immediate32() : m.get32("src"));
}

/** Takes one from the counter of may_goto; not 0 if there is none left, and the jump is taken (linux 6.10). */
export function mayGoto({ f, counter }: Machine): I32 {
  const left = f.let("i32", counter.get());
  counter.set(i32.sub(left, i32.ne(left, i32.const(0))));
  return i32.eqz(left);
}

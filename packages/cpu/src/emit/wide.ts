import { type FunctionBuilder, i32, i64, type Local } from "@vm/wasm";
import type { I64 } from "../sem/ctx.js";

/** Products and dividends of 128 bits, which wasm does not have. */

/** High half of the unsigned product of two 64-bit values. */
export function mulHigh(f: FunctionBuilder, a: I64, b: I64): I64 {
  const x = f.let("i64", a);
  const y = f.let("i64", b);
  const low = (v: I64): I64 => i64.and(v, i64.const2(-1, 0));
  const high = (v: I64): I64 => i64.shr_u(v, i64.const(32));
  const mid = f.let("i64", i64.add(i64.mul(high(x), low(y)), high(i64.mul(low(x), low(y)))));
  const cross = f.let("i64", i64.add(i64.mul(low(x), high(y)), low(mid)));
  return i64.add(i64.add(i64.mul(high(x), high(y)), high(mid)), high(cross));
}

/** Quotient, which must fit, and remainder of an unsigned dividend of 128 bits. */
export function divide(
  f: FunctionBuilder,
  dividendHigh: I64,
  dividendLow: I64,
  by: I64,
): { quotient: Local<"i64">; remainder: Local<"i64"> } {
  const high = f.let("i64", dividendHigh);
  const low = f.let("i64", dividendLow);
  const divisor = f.let("i64", by);
  const quotient = f.let("i64", low);
  f.if(
    i64.eqz(high),
    () => f.set(quotient, i64.div_u(low, divisor)),
    () => divideBitwise(f, high, quotient, divisor),
  );
  return { quotient, remainder: f.let("i64", i64.sub(low, i64.mul(quotient, divisor))) };
}

/** `low` = `high:low / divisor`, a bit at a time; `high` is used up. */
function divideBitwise(f: FunctionBuilder, high: Local<"i64">, low: Local<"i64">, divisor: Local<"i64">): void {
  const count = f.let("i32", i32.const(64));
  const out = f.temp("i64");
  const one = i64.const(1);
  f.loop((again) => {
    f.set(out, i64.shr_u(high, i64.const(63)));
    f.set(high, i64.or(i64.shl(high, one), i64.shr_u(low, i64.const(63))));
    f.set(low, i64.shl(low, one));
    f.if(i32.or(i64.ne(out, i64.const(0)), i64.ge_u(high, divisor)), () => {
      f.set(high, i64.sub(high, divisor));
      f.set(low, i64.or(low, one));
    });
    f.brIf(f.tee(count, i32.sub(count, i32.const(1))), again);
  });
}

import {
  type Expr,
  type Func,
  type FunctionBuilder,
  f64,
  i32,
  i64,
  type Label,
  type Local,
  type ModuleBuilder,
} from "@vm/wasm";
import * as S from "../state.js";
import { BIAS, EXPONENT, INTEGER, SIGN, shiftLeft, shiftRight, ZERO } from "./number.js";
import { deliver, deliverZero } from "./round.js";
import { DONE, REFUSED } from "./unit.js";

/**
 * Arithmetic on ordinary f80 numbers, a function per operation: `(cpu, at, a, aTop, b, bTop) -> REFUSED or DONE`. Operands are significands and
 * their sign and exponent (see `Operand`); the result, rounded, goes to the register at `at` + `FPR`, and C1 and #P to the status word. What
 * has no ordinary result is refused, with nothing changed. `softfloat/arithmetic.ts` computes the same in TypeScript.
 */
export interface Arithmetic {
  readonly add: Func;
  readonly multiply: Func;
  readonly divide: Func;
  /** Of `a`; there is no `b`. */
  readonly root: Func;
}

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

const LOW = i64.const2(-1, 0);
const ONE = i64.const(1);
const low = (value: I64): I64 => i64.and(value, LOW);
const high = (value: I64): I64 => i64.shr_u(value, i64.const(32));
const exponentOf = (top16: I32): I32 => i32.and(top16, i32.const(EXPONENT));
const signOf = (top16: I32): I32 => i32.and(top16, i32.const(SIGN));

/** The function under construction. */
interface Body {
  readonly f: FunctionBuilder;
  readonly cpu: Local<"i32">;
  readonly at: Local<"i32">;
  readonly refused: Label;
}

function define(m: ModuleBuilder, operands: 1 | 2, emit: (body: Body) => void): Func {
  const f = m.function(["i32", "i32", ...(["i64", "i32", "i64", "i32"] as const).slice(0, 2 * operands)], "i32");
  f.scope(() =>
    f.block((refused) => {
      emit({ f, cpu: f.param(0), at: f.param(1), refused });
      f.return(i32.const(DONE));
    }),
  );
  f.value(i32.const(REFUSED));
  return f;
}

/** Ends the function with a zero. */
function returnZero({ f, cpu, at }: Body, sign: I32): void {
  deliverZero(f, cpu, at, sign);
  f.return(i32.const(DONE));
}

function emitAdd(body: Body): void {
  const { f, cpu, at, refused } = body;
  const [a, b] = [f.param<"i64">(2), f.param<"i64">(4)];
  const [aTop, bTop] = [f.param<"i32">(3), f.param<"i32">(5)];
  const exponent = f.let("i32", exponentOf(aTop));
  const smaller = f.let("i32", exponentOf(bTop));
  const sign = f.let("i32", signOf(aTop));
  const opposite = f.let("i32", signOf(i32.xor(aTop, bTop)));
  // a becomes the one of larger magnitude.
  const swapped = i32.or(i32.gt_u(smaller, exponent), i32.and(i32.eq(smaller, exponent), i64.gt_u(b, a)));
  f.if(swapped, () => {
    const significand = f.let("i64", a);
    f.set(a, b);
    f.set(b, significand);
    const larger = f.let("i32", smaller);
    f.set(smaller, exponent);
    f.set(exponent, larger);
    f.set(sign, signOf(bTop));
  });
  const distance = f.let("i64", i64.extend_i32_u(i32.sub(exponent, smaller)));
  const cancelled = i32.and(i64.eqz(distance), i64.eq(a, b));
  f.if(i32.or(i64.eqz(a), i32.and(cancelled, i32.ne(opposite, i32.const(0)))), () => {
    // 0 + 0 or x - x: the sign that both have, else that which the rounding control says.
    f.if(opposite, () => {
      const down = i32.eq(i32.and(i32.load16_u(cpu, S.FCW), i32.const(0xc00)), i32.const(0x400));
      f.set(sign, i32.shl(down, i32.const(15)));
    });
    returnZero(body, sign);
  });
  const rest = shiftRight(f, b, distance);
  f.if(
    opposite,
    () => {
      f.set(a, i64.sub(i64.sub(a, b), i64.extend_i32_u(i64.ne(rest, ZERO))));
      f.set(rest, i64.sub(ZERO, rest));
      f.if(i64.eqz(a), () => {
        f.set(a, rest);
        f.set(rest, ZERO);
        f.set(exponent, i32.sub(exponent, i32.const(64)));
      });
      const shift = f.let("i64", i64.clz(a));
      shiftLeft(f, a, rest, shift);
      f.set(exponent, i32.sub(exponent, i32.wrap_i64(shift)));
    },
    () => {
      f.set(b, i64.add(a, b));
      f.if(i64.lt_u(b, a), () => {
        // No one is lost: b was shifted by less than 64 bits, so the lowest bit of the rest is clear.
        f.set(rest, i64.or(i64.shr_u(rest, ONE), i64.shl(b, i64.const(63))));
        f.set(b, i64.or(i64.shr_u(b, ONE), INTEGER));
        f.set(exponent, i32.add(exponent, i32.const(1)));
      });
      f.set(a, b);
    },
  );
  deliver(f, cpu, at, { sign, exponent, significand: a, rest }, refused);
}

function emitMultiply(body: Body): void {
  const { f, cpu, at, refused } = body;
  const [a, b] = [f.param<"i64">(2), f.param<"i64">(4)];
  const [aTop, bTop] = [f.param<"i32">(3), f.param<"i32">(5)];
  const sign = f.let("i32", signOf(i32.xor(aTop, bTop)));
  f.if(i32.or(i64.eqz(a), i64.eqz(b)), () => returnZero(body, sign));
  const exponent = f.let("i32", i32.sub(i32.add(exponentOf(aTop), exponentOf(bTop)), i32.const(BIAS - 1)));
  const lows = f.let("i64", i64.mul(low(a), low(b)));
  const middle = f.let("i64", i64.add(i64.mul(high(a), low(b)), high(lows)));
  const cross = f.let("i64", i64.add(i64.mul(low(a), high(b)), low(middle)));
  const rest = f.let("i64", i64.or(i64.shl(cross, i64.const(32)), low(lows)));
  const significand = f.let("i64", i64.add(i64.add(i64.mul(high(a), high(b)), high(middle)), high(cross)));
  f.if(i64.ge_s(significand, ZERO), () => {
    shiftLeft(f, significand, rest, f.let("i64", ONE));
    f.set(exponent, i32.sub(exponent, i32.const(1)));
  });
  deliver(f, cpu, at, { sign, exponent, significand, rest }, refused);
}

/**
 * A digit of 32 bits of `remainder:next / divisor`; `remainder`, which is below the divisor, becomes what is left. The divisor has its integer
 * bit. Knuth, TAOCP vol. 2, 4.3.1, algorithm D.
 */
function digit(f: FunctionBuilder, remainder: Local<"i64">, next: I64, divisor: Local<"i64">): Local<"i64"> {
  const head = f.let("i64", high(divisor));
  const part = f.let("i64", next);
  const q = f.let("i64", i64.div_u(remainder, head));
  const r = f.let("i64", i64.sub(remainder, i64.mul(q, head)));
  f.block((exact) =>
    f.loop((again) => {
      // Also where the estimate is 2^32 or one more: the left side does not overflow, and is larger then.
      f.brIf(i64.le_u(i64.mul(q, low(divisor)), i64.or(i64.shl(r, i64.const(32)), part)), exact);
      f.set(q, i64.sub(q, ONE));
      f.set(r, i64.add(r, head));
      f.brIf(i64.le_u(r, LOW), again);
    }),
  );
  f.set(remainder, i64.sub(i64.or(i64.shl(remainder, i64.const(32)), part), i64.mul(q, divisor)));
  return q;
}

function emitDivide(body: Body): void {
  const { f, cpu, at, refused } = body;
  const [a, b] = [f.param<"i64">(2), f.param<"i64">(4)];
  const [aTop, bTop] = [f.param<"i32">(3), f.param<"i32">(5)];
  f.brIf(i64.eqz(b), refused);
  const sign = f.let("i32", signOf(i32.xor(aTop, bTop)));
  f.if(i64.eqz(a), () => returnZero(body, sign));
  const exponent = f.let("i32", i32.add(i32.sub(exponentOf(aTop), exponentOf(bTop)), i32.const(BIAS)));
  // a:rest becomes a dividend below b * 2^64, half as large where a itself is not below b.
  const rest = f.let("i64", ZERO);
  f.if(
    i64.lt_u(a, b),
    () => f.set(exponent, i32.sub(exponent, i32.const(1))),
    () => {
      f.set(rest, i64.shl(a, i64.const(63)));
      f.set(a, i64.shr_u(a, ONE));
    },
  );
  const first = digit(f, a, high(rest), b);
  const second = digit(f, a, low(rest), b);
  const significand = f.let("i64", i64.or(i64.shl(first, i64.const(32)), second));
  f.set(rest, ZERO);
  f.if(i64.ne(a, ZERO), () => {
    // The remainder against half the divisor; it never is that half, or the product with a quotient of 65 bits would have but 64.
    f.set(rest, i64.or(ONE, i64.shl(i64.extend_i32_u(i64.gt_u(a, i64.sub(b, a))), i64.const(63))));
  });
  deliver(f, cpu, at, { sign, exponent, significand, rest }, refused);
}

/** 32 bits of the root from a double, and 32 more by dividing what is left by twice those; see `squareRoot` in `softfloat/arithmetic.ts`. */
function emitRoot(body: Body): void {
  const { f, cpu, at, refused } = body;
  const a = f.param<"i64">(2);
  const top = f.param<"i32">(3);
  const sign = f.let("i32", signOf(top));
  f.if(i64.eqz(a), () => returnZero(body, sign));
  f.brIf(sign, refused);
  const exponent = f.let("i32", i32.sub(top, i32.const(BIAS)));
  // The radicand a:below, so large that the integer root has 64 bits.
  const below = f.let("i64", ZERO);
  f.if(i32.eqz(i32.and(exponent, i32.const(1))), () => {
    f.set(below, i64.shl(a, i64.const(63)));
    f.set(a, i64.shr_u(a, ONE));
  });
  f.set(exponent, i32.add(i32.shr_s(exponent, i32.const(1)), i32.const(BIAS)));

  const s = f.let("i64", i64.trunc_sat_f64_u(f64.sqrt(f64.convert_i64_u(a))));
  const twice = f.let("i64", i64.shl(s, ONE));
  const left = f.let("i64", i64.sub(a, i64.mul(s, s)));
  const adjust = (by: 1 | -1): void => {
    f.set(s, i64.add(s, i64.const(by)));
    f.set(left, i64.sub(left, by === 1 ? i64.add(twice, ONE) : i64.sub(ONE, twice)));
    f.set(twice, i64.shl(s, ONE));
  };
  f.if(
    i64.lt_s(left, ZERO),
    () => adjust(-1),
    () => f.if(i64.gt_s(left, twice), () => adjust(1)),
  );

  const dividend = f.let("i64", i64.or(i64.shl(left, i64.const(31)), i64.shr_u(below, i64.const(33))));
  const q = f.let("i64", i64.div_u(dividend, s));
  f.if(i64.gt_u(q, LOW), () => f.set(q, LOW));
  // What is left of the radicand, as upper * 2^32 + lower.
  const upper = f.let("i64", i64.shl(i64.sub(dividend, i64.mul(q, s)), ONE));
  f.set(upper, i64.or(upper, i64.and(high(below), ONE)));
  const square = f.let("i64", i64.mul(q, q));
  const lower = f.let("i64", i64.sub(ZERO, low(square)));
  f.set(upper, i64.add(i64.sub(upper, high(square)), i64.shr_s(lower, i64.const(32))));
  f.set(lower, low(lower));
  f.if(i64.lt_s(upper, ZERO), () => {
    f.set(q, i64.sub(q, ONE));
    f.set(lower, i64.add(lower, i64.add(i64.shl(q, ONE), ONE)));
    f.set(upper, i64.add(i64.add(upper, twice), high(lower)));
    f.set(lower, low(lower));
  });
  // (root + 1/2)^2 = root^2 + root + 1/4: above the halfway point exactly when what is left exceeds the root. It is never on it.
  const above = i32.or(i64.gt_s(upper, s), i32.and(i64.eq(upper, s), i64.gt_u(lower, q)));
  const rest = f.let("i64", i64.shl(i64.extend_i32_u(above), i64.const(63)));
  f.set(rest, i64.or(rest, i64.extend_i32_u(i64.ne(i64.or(upper, lower), ZERO))));
  const significand = f.let("i64", i64.or(i64.shl(s, i64.const(32)), q));
  deliver(f, cpu, at, { sign, exponent, significand, rest }, refused);
}

/** Defines the functions. */
export function defineArithmetic(m: ModuleBuilder): Arithmetic {
  return {
    add: define(m, 2, emitAdd),
    multiply: define(m, 2, emitMultiply),
    divide: define(m, 2, emitDivide),
    root: define(m, 1, emitRoot),
  };
}

import { type Expr, type FunctionBuilder, i32, i64, type Local } from "@vm/wasm";
import { BIAS, EXPONENT, fromInteger, normalExponent, type Operand, register, SIGN, ZERO } from "./number.js";
import { type Operation, operation } from "./operation.js";
import type { Unit } from "./unit.js";

/**
 * Exact operations on significand and exponent; `vcpu/helpers/x87/x87-arithmetic.ts` and `x87-functions.ts` do the same for what is refused
 * here.
 */

type I32 = Expr<"i32">;

const C2 = 0x400;
const ONE = i64.const(1);
const exponentOf = (f: FunctionBuilder, { top16 }: Operand): Local<"i32"> =>
  f.let("i32", i32.and(top16, i32.const(EXPONENT)));
const signOf = (f: FunctionBuilder, { top16 }: Operand): Local<"i32"> => f.let("i32", i32.and(top16, i32.const(SIGN)));
const second = (u: Unit): Operand => register(u, u.place(i32.const(1)));

/** FSCALE: ST(0) times two to the power of ST(1) truncated. Refused if the result is not normal. */
const scale = operation("fscale", (u) => {
  const { f } = u;
  const place = u.top();
  const a = register(u, place);
  const b = second(u);
  const exponent = exponentOf(f, a);
  const binary = f.let("i32", i32.sub(exponentOf(f, b), i32.const(BIAS)));
  f.if(i32.and(i64.ne(a.significand, ZERO), i32.ge_s(binary, i32.const(0))), () => {
    u.refuse(i32.gt_s(binary, i32.const(16)));
    const magnitude = i32.wrap_i64(i64.shr_u(b.significand, i64.extend_i32_u(i32.sub(i32.const(63), binary))));
    const by = f.let("i32", magnitude);
    f.if(signOf(f, b), () => f.set(by, i32.sub(i32.const(0), by)));
    f.set(exponent, i32.add(exponent, by));
    u.refuse(i32.eqz(normalExponent(exponent)));
    u.write(place, a.significand, i32.or(signOf(f, a), exponent));
  });
  u.note();
});

/** FXTRACT: the exponent replaces ST(0), the significand is pushed. Zero, which has no exponent, is refused. */
const extract = operation("fxtract", (u) => {
  const { f } = u;
  const place = u.top();
  const a = register(u, place);
  u.refuse(i64.eqz(a.significand));
  const room = u.room();
  const sign = signOf(f, a);
  const exponent = fromInteger(f, i64.extend_i32_s(i32.sub(exponentOf(f, a), i32.const(BIAS))));
  u.write(place, exponent.significand, exponent.top16);
  u.push(room, a.significand, i32.or(sign, i32.const(BIAS)));
});

/** A partial remainder: `high` and a bit below it. */
interface Rest {
  readonly high: Local<"i64">;
  /** 0 or 1. */
  readonly low: Local<"i64">;
}

/** `steps` > 0 bits of the quotient, added to `q`, by long division; what remains is below the divisor. */
function divide(
  f: FunctionBuilder,
  rest: Local<"i64">,
  divisor: Local<"i64">,
  steps: Local<"i32">,
  q: Local<"i32">,
): void {
  const carry = f.let("i32", i32.const(0));
  f.loop((again) => {
    f.set(q, i32.shl(q, i32.const(1)));
    f.if(i32.or(carry, i64.ge_u(rest, divisor)), () => {
      f.set(rest, i64.sub(rest, divisor));
      f.set(q, i32.or(q, i32.const(1)));
    });
    f.set(steps, i32.sub(steps, i32.const(1)));
    f.if(steps, () => {
      f.set(carry, i64.lt_s(rest, ZERO));
      f.set(rest, i64.shl(rest, ONE));
      f.br(again);
    });
  });
}

/** One more in the quotient, if the remainder is above half the divisor, or is half of it and the quotient odd. */
function roundQuotient(
  f: FunctionBuilder,
  { high, low }: Rest,
  divisor: Local<"i64">,
  q: Local<"i32">,
  sign: Local<"i32">,
): void {
  const twice = f.let("i64", i64.or(i64.shl(high, ONE), low));
  const tie = i32.and(i64.eq(twice, divisor), q);
  f.if(i32.or(i64.lt_s(high, ZERO), i32.or(i64.gt_u(twice, divisor), tie)), () => {
    f.set(q, i32.add(q, i32.const(1)));
    f.set(sign, i32.xor(sign, i32.const(SIGN)));
    f.set(high, i64.sub(i64.sub(divisor, high), low));
  });
}

/** Brings a remainder to its leading one; refused if the exponent cannot follow. Zero has exponent 0. */
function normalize(u: Unit, { high, low }: Rest, exponent: Local<"i32">): void {
  const { f } = u;
  f.if(
    i64.eqz(i64.or(high, low)),
    () => f.set(exponent, i32.const(0)),
    () => {
      f.if(i64.eqz(high), () => {
        f.set(high, i64.shl(low, i64.const(63)));
        f.set(exponent, i32.sub(exponent, i32.const(64)));
      });
      // The bit below is only there if the one on top is not.
      const shift = f.let("i64", i64.clz(high));
      f.set(high, i64.or(i64.shl(high, shift), i64.shl(low, i64.sub(shift, ONE))));
      f.set(exponent, i32.sub(exponent, i32.wrap_i64(shift)));
      u.refuse(i32.lt_s(exponent, i32.const(1)));
    },
  );
}

/**
 * FPREM, or FPREM1 if `nearest`. Exponents 64 or more apart are only brought nearer by 32 to 63, and C2 says to go on. See
 * `softfloat/remainder.ts`.
 */
const remainder = (key: string, nearest: boolean): Operation =>
  operation(key, (u) => {
    const { f } = u;
    const place = u.top();
    const a = register(u, place);
    const b = second(u);
    u.refuse(i64.eqz(b.significand));
    const sign = signOf(f, a);
    const exponent = exponentOf(f, b);
    const distance = f.let("i32", i32.sub(exponentOf(f, a), exponent));
    const steps = f.let("i32", i32.add(distance, i32.const(1)));
    const q = f.let("i32", i32.const(0));
    const partial = f.let("i32", i32.ge_s(distance, i32.const(64)));
    f.if(partial, () => {
      f.set(steps, i32.add(i32.or(i32.and(distance, i32.const(31)), i32.const(32)), i32.const(1)));
      f.set(exponent, i32.add(exponent, i32.sub(i32.add(distance, i32.const(1)), steps)));
    });
    // With one step less than none ST(0) is below half of ST(1), and remains as it is.
    const divides = i32.ge_s(steps, i32.const(nearest ? 0 : 1));
    f.if(i32.and(i64.ne(a.significand, ZERO), divides), () => {
      const rest: Rest = { high: a.significand, low: f.let("i64", ZERO) };
      f.if(
        steps,
        () => divide(f, rest.high, b.significand, steps, q),
        // No bit, but perhaps one by rounding: ST(0) is brought to the exponent of ST(1).
        () => {
          f.set(rest.low, i64.and(rest.high, ONE));
          f.set(rest.high, i64.shr_u(rest.high, ONE));
        },
      );
      if (nearest) f.if(i32.eqz(partial), () => roundQuotient(f, rest, b.significand, q, sign));
      normalize(u, rest, exponent);
      u.write(place, rest.high, i32.or(sign, exponent));
    });
    u.note();
    f.if(
      partial,
      () => u.setCodes(i32.const(C2)),
      () => {
        const bit = (k: number, to: number): I32 => i32.shl(i32.and(q, i32.const(1 << k)), i32.const(to - k));
        u.setCodes(i32.or(i32.or(bit(0, 9), bit(1, 14)), bit(2, 8)));
      },
    );
  });

export const SCALINGS: readonly Operation[] = [scale, extract, remainder("fprem", false), remainder("fprem1", true)];

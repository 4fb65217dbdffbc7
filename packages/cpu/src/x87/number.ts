import { type Expr, type FunctionBuilder, i32, i64, type Local } from "@vm/wasm";
import type { Place, Unit } from "./unit.js";

/** Ordinary f80 numbers: normal ones and zeros. Everything else (denormals, infinities, NaNs, unsupported encodings) is left to the helpers. */

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** Largest biased exponent of a number. */
export const MAX_EXPONENT = 0x7ffe;
export const BIAS = 16383;
export const SIGN = 0x8000;
export const EXPONENT = 0x7fff;
/** The integer bit of a significand. */
export const INTEGER = i64.const2(0, 0x80000000);
export const ZERO = i64.const(0);

/** An ordinary number. */
export interface Operand {
  /** With its integer bit; 0 for zero. */
  readonly significand: Local<"i64">;
  /** Sign (bit 15) and biased exponent; exponent 0 for zero. */
  readonly top16: Local<"i32">;
}

/** A binary format of memory. */
export interface Format {
  readonly precision: 24 | 53;
  readonly bias: number;
  /** All ones. */
  readonly top: number;
}

export const BINARY32: Format = { precision: 24, bias: 127, top: 0xff };
export const BINARY64: Format = { precision: 53, bias: 1023, top: 0x7ff };

/** `exponent` is that of a normal f80. */
export const normalExponent = (exponent: I32): I32 =>
  i32.lt_u(i32.sub(exponent, i32.const(1)), i32.const(MAX_EXPONENT));

/** The number in a register; refused unless it is there and ordinary. */
export function register(u: Unit, place: Place): Operand {
  const { f } = u;
  u.need(place);
  const significand = f.let("i64", u.significand(place));
  const top16 = f.let("i32", u.top16(place));
  const exponent = f.let("i32", i32.and(top16, i32.const(EXPONENT)));
  f.if(i32.eqz(i32.and(i64.lt_s(significand, ZERO), normalExponent(exponent))), () =>
    u.refuse(i64.ne(i64.or(significand, i64.extend_i32_u(exponent)), ZERO)),
  );
  return { significand, top16 };
}

/** The memory operand as an f32 or f64; refused unless it is ordinary. */
export function real(u: Unit, { precision, bias, top }: Format): Operand {
  const { f, host } = u;
  const bits = f.let("i64", precision === 24 ? i64.shl(i64.load32_u(host), i64.const(32)) : i64.load(host));
  const significand = f.let("i64", i64.const(0));
  const sign = i32.and(i32.wrap_i64(i64.shr_u(bits, i64.const(48))), i32.const(SIGN));
  const top16 = f.let("i32", sign);
  const fraction = precision === 24 ? 55 : 52;
  const exponent = f.let("i32", i32.and(i32.wrap_i64(i64.shr_u(bits, i64.const(fraction))), i32.const(top)));
  f.if(
    i32.lt_u(i32.sub(exponent, i32.const(1)), i32.const(top - 1)),
    () => {
      f.set(significand, i64.or(INTEGER, i64.shl(bits, i64.const(63 - fraction))));
      f.set(top16, i32.or(top16, i32.add(exponent, i32.const(BIAS - bias))));
    },
    () => u.refuse(i64.ne(i64.shl(bits, i64.const(1)), ZERO)),
  );
  return { significand, top16 };
}

/** The memory operand as a signed integer of `size` bytes. */
export function integer(u: Unit, size: 2 | 4 | 8): Operand {
  const { f, host } = u;
  return fromInteger(f, size === 2 ? i64.load16_s(host) : size === 4 ? i64.load32_s(host) : i64.load(host));
}

/** A signed integer as a number. */
export function fromInteger(f: FunctionBuilder, value: I64): Operand {
  const significand = f.let("i64", value);
  const top16 = f.let("i32", i32.const(0));
  f.if(i64.ne(significand, ZERO), () => {
    f.if(i64.lt_s(significand, ZERO), () => {
      f.set(significand, i64.sub(ZERO, significand));
      f.set(top16, i32.const(SIGN));
    });
    const shift = f.let("i64", i64.clz(significand));
    f.set(significand, i64.shl(significand, shift));
    f.set(top16, i32.or(top16, i32.sub(i32.const(BIAS + 63), i32.wrap_i64(shift))));
  });
  return { significand, top16 };
}

/** `high:low` shifted left by 0 to 63 bits. */
export function shiftLeft(f: FunctionBuilder, high: Local<"i64">, low: Local<"i64">, by: Local<"i64">): void {
  f.set(high, i64.or(i64.shl(high, by), spill(low, by)));
  f.set(low, i64.shl(low, by));
}

/** The top `by` bits, 0 to 63, of a value. A shift by 64 bits would be one by none. */
const spill = (value: I64, by: I64): I64 => i64.shr_u(i64.shr_u(value, i64.const(1)), i64.sub(i64.const(63), by));

/**
 * `significand` shifted right by `by` >= 0 bits; @returns the bits below, of which the lowest tells whether there were more. The other way
 * round than `shiftLeft`, so that the highest bit weighs half a unit of what is left.
 */
export function shiftRight(f: FunctionBuilder, significand: Local<"i64">, by: Local<"i64">): Local<"i64"> {
  const rest = f.temp("i64");
  f.if(
    i64.lt_u(by, i64.const(64)),
    () => {
      f.set(rest, i64.shl(i64.shl(significand, i64.const(1)), i64.sub(i64.const(63), by)));
      f.set(significand, i64.shr_u(significand, by));
    },
    () => {
      f.set(rest, i64.extend_i32_u(i64.ne(significand, ZERO)));
      f.if(i64.lt_u(by, i64.const(128)), () => {
        const kept = f.let("i64", i64.shr_u(significand, by));
        const lost = i64.ne(i64.shl(kept, by), significand);
        f.set(rest, i64.or(kept, i64.extend_i32_u(lost)));
      });
      f.set(significand, i64.const(0));
    },
  );
  return rest;
}

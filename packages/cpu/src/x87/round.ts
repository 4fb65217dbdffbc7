import { type Expr, type FunctionBuilder, i32, i64, type Label, type Local } from "@vm/wasm";
import * as S from "../state.js";
import { INTEGER, MAX_EXPONENT, ZERO } from "./number.js";

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** #P: the result is inexact. */
const PRECISION = 0x20;
/** C1 with #P: rounding made the magnitude larger. */
const UP = 0x220;
/** Of the status word, what a result replaces: C1, and ES and B, which are clear while all exceptions are masked. */
const REPLACED = 0x8280;
/** The control word asks for 64 bits of precision (or holds the reserved encoding, which does the same), or else for 53 instead of 24. */
const EXTENDED = 0x100;
const DOUBLE = 0x200;

/** A result before rounding: `significand:rest` with the leading one on top; below a sticky lowest bit. */
export interface Unrounded {
  /** 0 or `SIGN`. */
  readonly sign: Local<"i32">;
  /** Biased as in an f80, but of any size. */
  readonly exponent: Local<"i32">;
  readonly significand: Local<"i64">;
  readonly rest: Local<"i64">;
}

/** Whether a magnitude is to be rounded up, of which `rest` (not 0) is lost: its highest bit weighs half a unit of what is left. */
export function roundsUp(f: FunctionBuilder, rc: I32, sign: I32, rest: Local<"i64">, odd: I32): Local<"i32"> {
  const control = f.let("i32", rc);
  const up = f.temp("i32");
  f.if(
    control,
    () => {
      const outward = i32.eq(i32.eq(control, i32.const(1)), i32.ne(sign, i32.const(0)));
      f.set(up, i32.and(i32.ne(control, i32.const(3)), outward));
    },
    () => f.set(up, i32.or(i64.gt_u(rest, INTEGER), i32.and(i64.eq(rest, INTEGER), odd))),
  );
  return up;
}

/** #P, and C1 if rounded up. */
export const inexact = (up: I32): I32 => i32.or(i32.const(PRECISION), i32.shl(up, i32.const(9)));

/** Drops the lowest `shift` bits, 1 to 63, of a significand, and leaves in `rest` what that loses together with what `rest` was. */
export function narrow(
  f: FunctionBuilder,
  significand: Local<"i64">,
  rest: Local<"i64">,
  shift: Local<"i64"> | I64,
): void {
  const lost = i64.shl(significand, i64.sub(ZERO, shift));
  f.set(rest, i64.or(lost, i64.extend_i32_u(i64.ne(rest, ZERO))));
  f.set(significand, i64.shl(i64.shr_u(significand, shift), shift));
}

/** Adds `unit` to a significand; an overflow makes it the smallest of the next exponent. */
export function increment(f: FunctionBuilder, significand: Local<"i64">, exponent: Local<"i32">, unit: I64): void {
  f.set(significand, i64.add(significand, unit));
  f.if(i64.eqz(significand), () => {
    f.set(significand, INTEGER);
    f.set(exponent, i32.add(exponent, i32.const(1)));
  });
}

/**
 * Rounds a result as the control word says, writes it to the register at `at` (less `FPR`) and notes C1 and #P. Branches to `refused`, with
 * nothing written, if it is too large or too small for a normal number.
 */
export function deliver(
  f: FunctionBuilder,
  cpu: Local<"i32">,
  at: Local<"i32">,
  { sign, exponent, significand, rest }: Unrounded,
  refused: Label,
): void {
  const fcw = f.let("i32", i32.load16_u(cpu, S.FCW));
  const unit = f.let("i64", i64.const(1));
  f.if(i32.eqz(i32.and(fcw, i32.const(EXTENDED))), () => {
    const shift = f.let("i64", i64.const(40));
    f.if(i32.and(fcw, i32.const(DOUBLE)), () => f.set(shift, i64.const(11)));
    narrow(f, significand, rest, shift);
    f.set(unit, i64.shl(unit, shift));
  });
  const flags = f.let("i32", i32.const(0));
  f.if(i64.ne(rest, ZERO), () => {
    const rc = i32.and(i32.shr_u(fcw, i32.const(10)), i32.const(3));
    const odd = i64.ne(i64.and(significand, unit), ZERO);
    const up = roundsUp(f, rc, sign, rest, odd);
    f.set(flags, i32.const(PRECISION));
    f.if(up, () => {
      f.set(flags, i32.const(UP));
      increment(f, significand, exponent, unit);
    });
  });
  f.brIf(i32.ge_u(i32.sub(exponent, i32.const(1)), i32.const(MAX_EXPONENT)), refused);
  put(f, cpu, at, significand, i32.or(sign, exponent), flags);
}

/** Writes a zero, which is exact. */
export function deliverZero(f: FunctionBuilder, cpu: Local<"i32">, at: Local<"i32">, sign: I32): void {
  put(f, cpu, at, ZERO, sign, i32.const(0));
}

function put(f: FunctionBuilder, cpu: Local<"i32">, at: Local<"i32">, significand: I64, top16: I32, flags: I32): void {
  f.store("i64.store", at, significand, S.FPR);
  f.store("i32.store16", at, top16, S.FPR + 8);
  const kept = i32.and(i32.load16_u(cpu, S.FSW), i32.const(~REPLACED));
  f.store("i32.store16", cpu, i32.or(kept, flags), S.FSW);
}

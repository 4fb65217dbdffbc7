import { i32, i64, select } from "@vm/wasm";
import { BIAS, BINARY32, BINARY64, EXPONENT, type Format, register, SIGN, shiftRight, ZERO } from "./number.js";
import { type Operation, operation } from "./operation.js";
import { increment, inexact, narrow, roundsUp } from "./round.js";
import type { Unit } from "./unit.js";

/** Stores to memory; `vcpu/helpers/x87/x87-move.ts` does the same for what is refused here. */

/** FSTP m80: the bits as they are. */
const storeExtended = operation("fstp.m10", (u) => {
  const place = u.need(u.top());
  u.f.store("i64.store", u.host, u.significand(place));
  u.f.store("i32.store16", u.host, u.top16(place), 8);
  u.note();
  u.pop();
});

/** Refused if the result is not a normal number or zero. */
function storeReal(u: Unit, { precision, bias, top }: Format): void {
  const { f, host } = u;
  const { significand, top16 } = register(u, u.top());
  const sign = f.let("i32", i32.and(top16, i32.const(SIGN)));
  const exponent = f.let("i32", i32.const(0));
  const flags = f.let("i32", i32.const(0));
  f.if(i64.ne(significand, ZERO), () => {
    f.set(exponent, i32.sub(i32.and(top16, i32.const(EXPONENT)), i32.const(BIAS - bias)));
    const rest = f.let("i64", ZERO);
    narrow(f, significand, rest, i64.const(64 - precision));
    f.if(i64.ne(rest, ZERO), () => {
      const unit = i64.const(2 ** (64 - precision));
      const up = roundsUp(f, u.rc, sign, rest, i64.ne(i64.and(significand, unit), ZERO));
      f.set(flags, inexact(up));
      f.if(up, () => increment(f, significand, exponent, unit));
    });
    u.refuse(i32.ge_u(i32.sub(exponent, i32.const(1)), i32.const(top - 1)));
  });
  if (precision === 24) {
    const fraction = i32.and(i32.wrap_i64(i64.shr_u(significand, i64.const(40))), i32.const(0x7fffff));
    const upper = i32.or(i32.shl(sign, i32.const(16)), i32.shl(exponent, i32.const(23)));
    f.store("i32.store", host, i32.or(upper, fraction));
  } else {
    const fraction = i64.shr_u(i64.shl(significand, i64.const(1)), i64.const(12));
    const upper = i32.or(i32.shl(sign, i32.const(16)), i32.shl(exponent, i32.const(20)));
    f.store("i64.store", host, i64.or(i64.shl(i64.extend_i32_u(upper), i64.const(32)), fraction));
  }
  u.note(flags);
}

/** Refused if the number is out of range, or the smallest integer, which most often stands for that. */
function storeInteger(u: Unit, size: 2 | 4 | 8, truncated: boolean): void {
  const { f, host } = u;
  const { significand, top16 } = register(u, u.top());
  const sign = f.let("i32", i32.and(top16, i32.const(SIGN)));
  const flags = f.let("i32", i32.const(0));
  f.if(i64.ne(significand, ZERO), () => {
    const exponent = f.let("i32", i32.and(top16, i32.const(EXPONENT)));
    u.refuse(i32.gt_u(exponent, i32.const(BIAS + 63)));
    const rest = shiftRight(f, significand, f.let("i64", i64.extend_i32_u(i32.sub(i32.const(BIAS + 63), exponent))));
    f.if(i64.ne(rest, ZERO), () => {
      const odd = i32.and(i32.wrap_i64(significand), i32.const(1));
      const up = truncated ? f.let("i32", i32.const(0)) : roundsUp(f, u.rc, sign, rest, odd);
      f.set(flags, inexact(up));
      f.set(significand, i64.add(significand, i64.extend_i32_u(up)));
    });
    u.refuse(i64.ge_u(significand, i64.const(2n ** BigInt(8 * size - 1))));
  });
  const value = select(sign, i64.sub(ZERO, significand), significand);
  f.store(size === 2 ? "i64.store16" : size === 4 ? "i64.store32" : "i64.store", host, value);
  u.note(flags);
}

const stores = (key: string, body: (u: Unit) => void): Operation => operation(key, body);
const popping = (key: string, body: (u: Unit) => void): Operation =>
  operation(key, (u) => {
    body(u);
    u.pop();
  });

const REALS = [
  ["m4", BINARY32],
  ["m8", BINARY64],
] as const;

export const STORES: readonly Operation[] = [
  storeExtended,
  ...REALS.flatMap(([form, format]) => [
    stores(`fst.${form}`, (u) => storeReal(u, format)),
    popping(`fstp.${form}`, (u) => storeReal(u, format)),
  ]),
  ...([2, 4] as const).map((size) => stores(`fist.m${size}`, (u) => storeInteger(u, size, false))),
  ...([2, 4, 8] as const).flatMap((size) => [
    popping(`fistp.m${size}`, (u) => storeInteger(u, size, false)),
    popping(`fisttp.m${size}`, (u) => storeInteger(u, size, true)),
  ]),
];

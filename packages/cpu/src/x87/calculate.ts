import { type Expr, type Func, i32, i64 } from "@vm/wasm";
import {
  BIAS,
  BINARY32,
  BINARY64,
  EXPONENT,
  integer,
  type Operand,
  real,
  register,
  SIGN,
  shiftRight,
  ZERO,
} from "./number.js";
import { type Operation, operation, type Shared } from "./operation.js";
import { increment, inexact, roundsUp } from "./round.js";
import type { Place, Unit } from "./unit.js";

/** x87 arithmetic; `vcpu/helpers/x87/x87-arithmetic.ts` does the same for what is refused here. */

type I32 = Expr<"i32">;

interface TwoOperands {
  readonly compute: (shared: Shared) => Func;
  /** The source is the first operand. */
  readonly reversed: boolean;
  /** The second operand is negated: a subtraction. */
  readonly negated: boolean;
}

const add = ({ add }: Shared): Func => add;
const multiply = ({ multiply }: Shared): Func => multiply;
const divide = ({ divide }: Shared): Func => divide;

const TWO_OPERANDS: Readonly<Record<string, TwoOperands>> = {
  add: { compute: add, reversed: false, negated: false },
  mul: { compute: multiply, reversed: false, negated: false },
  sub: { compute: add, reversed: false, negated: true },
  subr: { compute: add, reversed: true, negated: true },
  div: { compute: divide, reversed: false, negated: false },
  divr: { compute: divide, reversed: true, negated: false },
};

/** `destination = destination op source`. */
function calculate(u: Unit, shared: Shared, by: TwoOperands, to: Place, destination: Operand, source: Operand): void {
  const [a, b] = by.reversed ? [source, destination] : [destination, source];
  const bTop: I32 = by.negated ? i32.xor(b.top16, i32.const(SIGN)) : b.top16;
  const call = u.f.call<"i32">(by.compute(shared), u.cpu, u.at(to), a.significand, a.top16, b.significand, bTop);
  u.refuse(i32.eqz(call));
}

const families = Object.entries(TWO_OPERANDS).flatMap(([name, by]): Operation[] => {
  const onMemory = (key: string, load: (u: Unit) => Operand): Operation =>
    operation(`f${key}`, (u, shared) => {
      const to = u.top();
      calculate(u, shared, by, to, register(u, to), load(u));
    });
  const onRegister = (key: string, pops: boolean): Operation =>
    operation(`f${key}`, (u, shared) => {
      const to = u.place(u.i);
      calculate(u, shared, by, to, register(u, to), register(u, u.top()));
      if (!pops) return;
      u.reload();
      u.pop();
    });
  return [
    operation(`f${name}.0i`, (u, shared) => {
      const to = u.top();
      calculate(u, shared, by, to, register(u, to), register(u, u.place(u.i)));
    }),
    onRegister(`${name}.i0`, false),
    onRegister(`${name}p.i0`, true),
    onMemory(`${name}.m4`, (u) => real(u, BINARY32)),
    onMemory(`${name}.m8`, (u) => real(u, BINARY64)),
    onMemory(`i${name}.m2`, (u) => integer(u, 2)),
    onMemory(`i${name}.m4`, (u) => integer(u, 4)),
  ];
});

/** FABS and FCHS change the sign of anything. */
const sign = (key: string, change: (top16: I32) => I32): Operation =>
  operation(key, (u) => {
    const place = u.need(u.top());
    u.note();
    u.write(place, u.significand(place), change(u.top16(place)));
  });

const squareRoot = operation("fsqrt", (u, shared) => {
  const place = u.top();
  const { significand, top16 } = register(u, place);
  u.refuse(i32.eqz(u.f.call<"i32">(shared.root, u.cpu, u.at(place), significand, top16)));
});

/** FRNDINT: not affected by the precision control. */
const roundToIntegral = operation("frndint", (u) => {
  const { f } = u;
  const place = u.top();
  const { significand, top16 } = register(u, place);
  const sign = f.let("i32", i32.and(top16, i32.const(SIGN)));
  const exponent = f.let("i32", i32.and(top16, i32.const(EXPONENT)));
  const flags = f.let("i32", i32.const(0));
  const fractional = i32.lt_s(exponent, i32.const(BIAS + 63));
  f.if(i32.and(fractional, i64.ne(significand, ZERO)), () => {
    const shift = f.let("i64", i64.extend_i32_u(i32.sub(i32.const(BIAS + 63), exponent)));
    const rest = shiftRight(f, significand, shift);
    f.set(exponent, i32.const(BIAS + 63));
    f.if(i64.ne(rest, ZERO), () => {
      const odd = i32.and(i32.wrap_i64(significand), i32.const(1));
      const up = roundsUp(f, u.rc, sign, rest, odd);
      f.set(flags, inexact(up));
      f.if(up, () => increment(f, significand, exponent, i64.const(1)));
    });
    f.if(
      i64.eqz(significand),
      () => f.set(exponent, i32.const(0)),
      () => {
        const up = f.let("i64", i64.clz(significand));
        f.set(significand, i64.shl(significand, up));
        f.set(exponent, i32.sub(exponent, i32.wrap_i64(up)));
      },
    );
    u.write(place, significand, i32.or(sign, exponent));
  });
  u.note(flags);
});

export const CALCULATIONS: readonly Operation[] = [
  ...families,
  sign("fabs", (top16) => i32.and(top16, i32.const(EXPONENT))),
  sign("fchs", (top16) => i32.xor(top16, i32.const(SIGN))),
  squareRoot,
  roundToIntegral,
];

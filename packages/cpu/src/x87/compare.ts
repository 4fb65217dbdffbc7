import { type Expr, type Func, i32, i64, type Local, type ModuleBuilder } from "@vm/wasm";
import { BINARY32, BINARY64, EXPONENT, INTEGER, integer, type Operand, real, register, SIGN, ZERO } from "./number.js";
import { type Operation, operation } from "./operation.js";
import { DONE, type Unit } from "./unit.js";

/** x87 comparison and classification; `vcpu/helpers/x87/x87-compare.ts` does the same for what is refused here. */

type I32 = Expr<"i32">;

export const C0 = 0x100;
const C1 = 0x200;
const C2 = 0x400;
export const C3 = 0x4000;

/** Defines `Shared.relation`. */
export function defineRelation(m: ModuleBuilder): Func {
  const f = m.function(["i64", "i32", "i64", "i32"], "i32");
  const [a, b] = [f.param<"i64">(0), f.param<"i64">(2)];
  const [aTop, bTop] = [f.param<"i32">(1), f.param<"i32">(3)];
  f.if(i64.eqz(i64.or(a, b)), () => f.return(i32.const(C3)));
  const sign = (top16: I32): I32 => i32.shr_u(top16, i32.const(15));
  f.if(i32.and(i32.xor(aTop, bTop), i32.const(SIGN)), () => f.return(i32.shl(sign(aTop), i32.const(8))));
  f.scope(() => {
    const differ = i32.sub(i32.and(aTop, i32.const(EXPONENT)), i32.and(bTop, i32.const(EXPONENT)));
    const exponents = f.let("i32", differ);
    f.if(i32.eqz(exponents), () => {
      f.if(i64.eq(a, b), () => f.return(i32.const(C3)));
      f.return(i32.shl(i32.xor(i64.lt_u(a, b), sign(aTop)), i32.const(8)));
    });
    const less = i32.lt_s(exponents, i32.const(0));
    f.return(i32.shl(i32.xor(less, sign(aTop)), i32.const(8)));
  });
  f.unreachable();
  return f;
}

/** Where the result of a comparison, as condition codes, goes. */
type Report = (u: Unit, codes: Local<"i32">) => void;

const toCodes: Report = (u, codes) => u.setCodes(codes);

/** C1 stays. A region, which has the flags elsewhere, finds the codes in the answer too. */
const toFlags: Report = (u, codes) => {
  u.flags.compare(i32.eq(codes, i32.const(C3)), i32.eq(codes, i32.const(C0)));
  u.answer = i32.or(codes, i32.const(DONE));
};

/** ST(0) with another number. */
const comparison = (key: string, report: Report, pops: number, other: (u: Unit) => Operand): Operation =>
  operation(key, (u, { relation }) => {
    const { f } = u;
    const a = register(u, u.top());
    const b = other(u);
    const codes = f.let("i32", f.call<"i32">(relation, a.significand, a.top16, b.significand, b.top16));
    u.noteKeepingC1();
    report(u, codes);
    for (let k = 0; k < pops; k++) u.pop();
  });

const named = (u: Unit): Operand => register(u, u.place(u.i));
const second = (u: Unit): Operand => register(u, u.place(i32.const(1)));
const zero = ({ f }: Unit): Operand => ({ significand: f.let("i64", ZERO), top16: f.let("i32", i32.const(0)) });

const families = (["", "p"] as const).flatMap((suffix): Operation[] => {
  const pops = suffix.length;
  return [
    comparison(`fcom${suffix}.0i`, toCodes, pops, named),
    comparison(`fucom${suffix}.0i`, toCodes, pops, named),
    comparison(`fcom${suffix}.m4`, toCodes, pops, (u) => real(u, BINARY32)),
    comparison(`fcom${suffix}.m8`, toCodes, pops, (u) => real(u, BINARY64)),
    comparison(`ficom${suffix}.m2`, toCodes, pops, (u) => integer(u, 2)),
    comparison(`ficom${suffix}.m4`, toCodes, pops, (u) => integer(u, 4)),
    comparison(`fcomi${suffix}.0i`, toFlags, pops, named),
    comparison(`fucomi${suffix}.0i`, toFlags, pops, named),
  ];
});

/** FXAM: class and sign of ST(0), whatever it is. */
const examine = operation("fxam", (u) => {
  const { f } = u;
  const place = u.top();
  const significand = f.let("i64", u.significand(place));
  const exponent = f.let("i32", i32.and(u.top16(place), i32.const(EXPONENT)));
  const codes = f.let("i32", i32.const(C2));
  f.if(
    u.inUse(place),
    () =>
      f.if(
        i32.eqz(exponent),
        () => f.set(codes, i32.or(i32.const(C3), i32.shl(i64.ne(significand, ZERO), i32.const(10)))),
        () =>
          f.if(
            i64.ge_s(significand, ZERO),
            () => f.set(codes, i32.const(0)),
            () =>
              f.if(i32.eq(exponent, i32.const(EXPONENT)), () =>
                f.set(codes, i32.or(i32.const(C0), i32.shl(i64.eq(significand, INTEGER), i32.const(10)))),
              ),
          ),
      ),
    () => f.set(codes, i32.const(C3 | C0)),
  );
  u.setCodes(i32.or(codes, i32.and(i32.shr_u(u.top16(place), i32.const(6)), i32.const(C1))));
});

export const COMPARISONS: readonly Operation[] = [
  ...families,
  comparison("fcompp", toCodes, 2, second),
  comparison("fucompp", toCodes, 2, second),
  comparison("ftst", toCodes, 0, zero),
  examine,
];

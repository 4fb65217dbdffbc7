import { i32, i64 } from "@vm/wasm";
import { BINARY32, BINARY64, integer, type Operand, real } from "./number.js";
import { type Operation, operation } from "./operation.js";
import type { Unit } from "./unit.js";

/** Loads, copies between registers and constants; `vcpu/helpers/x87/x87-move.ts` does the same for what is refused here. */

const load = (key: string, operand: (u: Unit) => Operand): Operation =>
  operation(key, (u) => {
    const room = u.room();
    const { significand, top16 } = operand(u);
    u.push(room, significand, top16);
  });

/** FLD m80: the bits as they are. */
const loadExtended = operation("fld.m10", (u) => {
  u.push(u.room(), i64.load(u.host), i32.load16_u(u.host, 8));
});

const loadRegister = operation("fld.i", (u) => {
  const from = u.need(u.place(u.i));
  u.push(u.room(), u.significand(from), u.top16(from));
});

/** FST and FSTP to a register: a copy, without a look at the value. */
const copy = (key: string, pops: boolean): Operation =>
  operation(key, (u) => {
    const from = u.need(u.top());
    const to = u.place(u.i);
    u.write(to, u.significand(from), u.top16(from));
    u.validate(to);
    u.note();
    if (pops) u.pop();
  });

const exchange = operation("fxch.0i", (u) => {
  const { f } = u;
  const top = u.need(u.top());
  const other = u.need(u.place(u.i));
  const significand = f.let("i64", u.significand(top));
  const top16 = f.let("i32", u.top16(top));
  u.note();
  u.write(top, u.significand(other), u.top16(other));
  u.write(other, significand, top16);
});

/** FCMOVcc: no condition code and no exception changes. */
const conditional = (name: string, cc: number): Operation =>
  operation(`fcmov${name}.0i`, (u) => {
    const top = u.need(u.top());
    const from = u.need(u.place(u.i));
    u.f.if(u.flags.condition(cc), () => u.write(top, u.significand(from), u.top16(from)));
  });

/** FCMOVcc where somebody else knows whether the condition holds: that is told in place of a memory operand. */
const chosen = operation("fcmov.0i", (u) => {
  const top = u.need(u.top());
  const from = u.need(u.place(u.i));
  u.f.if(u.host, () => u.write(top, u.significand(from), u.top16(from)));
});

/** Conditions of FCMOVcc, as in `Flags.condition`. */
export const FCMOV_CONDITIONS: Readonly<Record<string, number>> = {
  b: 2,
  nb: 3,
  e: 4,
  ne: 5,
  be: 6,
  nbe: 7,
  u: 10,
  nu: 11,
};

/** High and low half of a constant rounded to nearest, and its exponent. Of other roundings only those that are exact are done here. */
const CONSTANTS: readonly (readonly [name: string, hi: number, lo: number, exponent: number, exact: boolean])[] = [
  ["fld1", 0x80000000, 0, 0x3fff, true],
  ["fldz", 0, 0, 0, true],
  ["fldl2t", 0xd49a784b, 0xcd1b8afe, 0x4000, false],
  ["fldl2e", 0xb8aa3b29, 0x5c17f0bc, 0x3fff, false],
  ["fldpi", 0xc90fdaa2, 0x2168c235, 0x4000, false],
  ["fldlg2", 0x9a209a84, 0xfbcff799, 0x3ffd, false],
  ["fldln2", 0xb17217f7, 0xd1cf79ac, 0x3ffe, false],
];

const constants = CONSTANTS.map(([name, hi, lo, exponent, exact]) =>
  operation(name, (u) => {
    if (!exact) u.refuse(u.rc);
    u.push(u.room(), i64.const2(lo, hi), i32.const(exponent));
  }),
);

/** FFREE and FFREEP. */
const freeing = (key: string, pops: boolean): Operation =>
  operation(key, (u) => {
    u.note();
    u.free(u.place(u.i));
    if (pops) u.pop();
  });

const rotation = (key: string, by: 1 | -1): Operation =>
  operation(key, (u) => {
    u.note();
    u.rotate(by);
  });

export const MOVES: readonly Operation[] = [
  load("fld.m4", (u) => real(u, BINARY32)),
  load("fld.m8", (u) => real(u, BINARY64)),
  loadExtended,
  loadRegister,
  ...([2, 4, 8] as const).map((size) => load(`fild.m${size}`, (u) => integer(u, size))),
  copy("fst.i", false),
  copy("fstp.i", true),
  // D9 D8+i: FSTP, but for an empty ST(0).
  copy("fstpnce.i", true),
  exchange,
  ...Object.entries(FCMOV_CONDITIONS).map(([name, cc]) => conditional(name, cc)),
  chosen,
  ...constants,
  freeing("ffree.i", false),
  freeing("ffreep.i", true),
  rotation("fincstp", 1),
  rotation("fdecstp", -1),
];

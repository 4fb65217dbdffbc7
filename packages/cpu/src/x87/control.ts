import { i32 } from "@vm/wasm";
import * as S from "../state.js";
import { nonWaiting, type Operation, operation } from "./operation.js";

/** Control and status word; `vcpu/helpers/x87/x87-control.ts` does the same for what is refused here. */

/** Bits of the control word that can be set; bit 6 always is. */
const CONTROL = 0x1f7f;
const ALWAYS = 0x40;
const MASKS = 0x3f;
/** All exceptions masked, extended precision, round to nearest. */
const INITIAL = 0x37f;
/** What FNCLEX leaves of the status word: condition codes and TOP. */
const KEPT = 0x7f00;

/** Refused if it unmasks an exception, which one noted before can make pending. */
const loadControl = operation("fldcw.m2", (u) => {
  const { f, cpu, host } = u;
  const value = f.let("i32", i32.load16_u(host));
  u.refuse(i32.ne(i32.and(value, i32.const(MASKS)), i32.const(MASKS)));
  f.store("i32.store16", cpu, i32.or(i32.and(value, i32.const(CONTROL)), i32.const(ALWAYS)), S.FCW);
  u.noteKeepingC1();
});

const initialize = nonWaiting("fninit", ({ f, cpu }) => {
  f.store("i32.store16", cpu, i32.const(INITIAL), S.FCW);
  f.store("i32.store16", cpu, i32.const(0), S.FSW);
  f.store("i32.store8", cpu, i32.const(0), S.FTW);
});

const clearExceptions = nonWaiting("fnclex", ({ f, cpu, fsw }) =>
  f.store("i32.store16", cpu, i32.and(fsw, i32.const(KEPT)), S.FSW),
);

export const CONTROL_WORDS: readonly Operation[] = [
  loadControl,
  nonWaiting("fnstcw.m2", (u) => u.f.store("i32.store16", u.host, u.fcw)),
  nonWaiting("fnstsw.m2", (u) => u.f.store("i32.store16", u.host, u.fsw)),
  nonWaiting("fnstsw.r", (u) => u.f.store("i32.store16", u.cpu, u.fsw, S.GPR)),
  operation("fwait", () => undefined),
  operation("fnop", () => undefined),
  initialize,
  clearExceptions,
];

import { i32, i64 } from "@vm/wasm";
import * as R from "../record.js";
import * as S from "../state.js";
import type { Frame } from "./frame.js";
import { InterpreterCtx } from "./ictx.js";
import type { Step } from "./steps.js";

/** Steps of MMX instructions; `code/mmx.ts` composes them with SSE rows. */

const PENDING = 16;
const TOP = 0x3800;

const slot = ({ cpu, rec }: Frame, field: number): ReturnType<typeof i32.add> => i32.add(cpu, i32.load16_u(rec, field));

function clearTop({ f, cpu }: Frame): void {
  f.store("i32.store16", cpu, i32.and(i32.load16_u(cpu, S.FSW), i32.const(~TOP)), S.FSW);
}

/** All registers valid, top of stack 0. */
function enter(frame: Frame): void {
  const { f, cpu } = frame;
  clearTop(frame);
  f.store("i32.store8", cpu, i32.const(0xff), S.FTW);
}

function finishRegister(frame: Frame): void {
  frame.f.store("i64.store", slot(frame, R.R_DST), i64.const(0xffff), 8);
  enter(frame);
}

const step = (name: string, body: (frame: Frame, c: InterpreterCtx) => void): Step => ({
  name: `mmx.${name}`,
  emit: (frame) => {
    const c = new InterpreterCtx(frame, { name, sizes: [8], forms: [""], emit: () => undefined }, 8, "", false);
    body(frame, c);
    c.finish();
  },
});

export const MMX_STEPS: readonly Step[] = [
  step("check", ({ cpu }, c) => {
    c.checkUnit(S.MMX_OFF);
    const unmasked = i32.and(i32.load16_u(cpu, S.FSW), i32.xor(i32.load16_u(cpu, S.FCW), i32.const(-1)));
    c.faultIf(i32.and(unmasked, i32.const(0x3f)), PENDING);
  }),
  step("top", clearTop),
  step("done", enter),
  step("set", finishRegister),
  // The result is in the high half: PUNPCKH as the other half of PUNPCKL.
  step("high", (frame) => {
    frame.f.store("i64.store", slot(frame, R.R_DST), i64.load(slot(frame, R.R_DST), 8));
    finishRegister(frame);
  }),
  step("join", (frame) => {
    frame.f.store("i64.store", frame.cpu, i64.load(slot(frame, R.R_DST)), S.XTMP2);
    frame.f.store("i64.store", frame.cpu, i64.load(slot(frame, R.R_SRC)), S.XTMP2 + 8);
  }),
  step("out", (frame) => {
    frame.f.store("i64.store", slot(frame, R.R_DST), i64.load(frame.cpu, S.XTMP2));
    finishRegister(frame);
  }),
];

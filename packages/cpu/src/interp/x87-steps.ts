import { i32, i64, type Local } from "@vm/wasm";
import { SlowAccess } from "../calls.js";
import { tlbProbe } from "../emit/tlb-probe.js";
import * as R from "../record.js";
import { truncate } from "../sem/widths.js";
import * as S from "../state.js";
import type { Frame } from "./frame.js";
import { InterpreterCtx } from "./ictx.js";
import type { Step } from "./steps.js";

/**
 * Records of x87 instructions: they find the memory operand and take the exit `x87`. Where it has no TLB entry they take `helper` at once, so
 * that only the helper ever misses or faults, after it has looked for #NM and #MF.
 */

/** The same outside 64-bit code with 32-bit addresses. `R_DST` is the slot of the lowest and highest offset, as for `ea32L`. */
function checked({ f, cpu, rec, exits }: Frame, c: InterpreterCtx, size: number): Local<"i64"> {
  const offset = f.let("i64", truncate(c.offset(), 4));
  const range = f.let("i32", i32.add(cpu, i32.load16_u(rec, R.R_DST)));
  const last = i64.add(offset, i64.const(size - 1));
  const outside = i32.or(i64.lt_u(offset, i64.load32_u(range)), i64.gt_u(last, i64.load32_u(range, 4)));
  f.brIf(outside, exits.helper);
  const base = i64.load(i32.add(cpu, i32.load16_u(rec, R.R_SEG)));
  return f.let("i64", truncate(i64.add(offset, base), 4));
}

const onMemory = (size: number, access: SlowAccess, legacy: boolean): Step => {
  const name = `x87.${access === SlowAccess.Load ? "r" : "w"}${size}${legacy ? ".L" : ""}`;
  return {
    name,
    emit: (frame) => {
      const { f, cpu, operand, exits } = frame;
      const c = new InterpreterCtx(frame, { name, sizes: [8], forms: ["m"], emit: () => undefined }, 8, "m", false);
      const linear = legacy ? checked(frame, c, size) : c.linear();
      const base = i32.load(cpu, access === SlowAccess.Load ? S.TLB_READ : S.TLB_WRITE);
      f.set(
        operand,
        tlbProbe(f, base, linear, size, () => f.br(exits.helper)),
      );
      f.br(exits.x87);
    },
  };
};

export const X87_STEPS: readonly Step[] = [
  {
    name: "x87",
    emit: ({ f, operand, exits }) => {
      f.set(operand, i32.const(0));
      f.br(exits.x87);
    },
  },
  ...[false, true].flatMap((legacy) =>
    [2, 4, 8, 10].flatMap((size) => [
      onMemory(size, SlowAccess.Load, legacy),
      onMemory(size, SlowAccess.Store, legacy),
    ]),
  ),
];

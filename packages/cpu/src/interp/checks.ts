import { i32, i64, type Local } from "@vm/wasm";
import * as R from "../record.js";
import type { I32, I64 } from "../sem/ctx.js";
import * as S from "../state.js";
import type { Frame } from "./frame.js";

/** Leaves the instruction undone, with exception `vector` and error code 0 if it has one, where `condition` holds. */
export function raiseIf({ f, cpu, exits }: Frame, condition: I32, vector: I32): void {
  f.if(condition, () => {
    f.store("i32.store", cpu, vector, S.RAISE);
    f.br(exits.raise);
  });
}

/**
 * Leaves the instruction with #GP(0), or #SS(0) for the stack segment, unless `size` bytes at `offset` are in the range at host address `range`
 * of the segment whose base is at host address `base`. In a flat segment accesses wrap at 4 GiB (recorded from hardware).
 */
export function checkRange(frame: Frame, offset: Local<"i64">, size: I64, range: I32, base: I32): void {
  const { f } = frame;
  const at = f.let("i32", range);
  const last = i64.add(offset, i64.sub(size, i64.const(1)));
  const flat = i32.eqz(i32.or(i32.load(base), i32.xor(i32.load(at, 4), i32.const(-1))));
  const beyond = i32.gt_u(i64.gt_u(last, i64.load32_u(at, 4)), flat);
  const outside = i32.or(i64.lt_u(offset, i64.load32_u(at)), beyond);
  raiseIf(frame, outside, i32.sub(i32.const(13), i32.and(i32.load16_u(frame.rec, R.R_AUX2), i32.const(1))));
}

/** Offset in CS of the direct target outside 64-bit code, truncated to the operand size, checked against the limit. */
export function directTarget(frame: Frame): Local<"i64"> {
  const { f, cpu, rec } = frame;
  const linear = i64.add(i64.load(cpu, S.PAGE_VA), i64.load(rec, R.R_DISP));
  const mask = i64.shr_u(i64.const2(-1, 0), i64.load8_u(rec, R.R_AUX));
  const target = f.let("i64", i64.and(i64.sub(linear, i64.load(cpu, S.SEG_BASE + 8)), mask));
  raiseIf(frame, i64.gt_u(target, i64.load32_u(cpu, S.CS_LIMIT)), i32.const(13));
  return target;
}

import { i32, i64, type Local } from "@vm/wasm";
import type { I64, Size } from "../sem/ctx.js";
import { truncate } from "../sem/widths.js";
import * as S from "../state.js";
import { checkRange } from "./checks.js";
import type { Frame } from "./frame.js";

/** The stack outside 64-bit code, whose pointer and addresses are as wide as SS says, and which has bounds. */

/** `offset` as wide as the stack pointer. */
export function stackMasked({ cpu }: Frame, offset: I64): I64 {
  return i64.and(offset, i64.load(cpu, S.STACK_MASK));
}

/** Linear address of the `size` bytes at `offset`, which are checked. */
export function stackLinear(frame: Frame, offset: Local<"i64">, size: Size, write: boolean): Local<"i64"> {
  const { f, cpu } = frame;
  const range = i32.add(cpu, i32.const(S.SEG_RANGE + 32 + (write ? 8 : 0)));
  checkRange(frame, offset, i64.const(size), range, i32.add(cpu, i32.const(S.SEG_BASE + 16)));
  return f.let("i64", truncate(i64.add(offset, i64.load(cpu, S.SEG_BASE + 16)), 4));
}

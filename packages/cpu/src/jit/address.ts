import { i64 } from "@vm/wasm";
import type { I64, Size } from "../sem/ctx.js";
import { truncate } from "../sem/widths.js";
import * as S from "../state.js";
import type { Piece } from "./piece.js";
import type { RegionLocals } from "./region-locals.js";

/** Addresses and immediates of a region's instructions: what of them is known is folded. */

/**
 * Effective address of the memory operand, without its segment base.
 * @param page linear address of the instruction's page
 */
export function offsetOf(piece: Piece, locals: RegionLocals, page: I64): I64 {
  const offset = sumOf(piece, locals, page);
  return piece.instance.insn.addrSize === 8 ? offset : truncate(offset, 4);
}

/**
 * Linear address of the memory operand.
 * @param moved bytes by which a register moves it, or null
 */
export function linearOf(piece: Piece, locals: RegionLocals, page: I64, moved: I64 | null): I64 {
  const { insn } = piece.instance;
  const sum = sumOf(piece, locals, page);
  const whole = moved === null ? sum : i64.add(sum, moved);
  const offset = insn.addrSize === 8 ? whole : truncate(whole, 4);
  return insn.seg >= 4 ? i64.add(offset, locals.long(S.SEG_BASE + 8 * insn.seg)) : offset;
}

function sumOf({ instance: { insn }, offset }: Piece, locals: RegionLocals, page: I64): I64 {
  if (insn.base === 16) {
    const next = offset + insn.len;
    const lo = (insn.dispLo + next) | 0;
    const hi = insn.dispHi + (insn.dispLo >>> 0 > lo >>> 0 ? 1 : 0);
    return i64.add(page, i64.const2(lo, hi));
  }
  let sum: I64 | null = insn.base < 0 ? null : locals.general(insn.base);
  if (insn.index >= 0) {
    const index = i64.shl(locals.general(insn.index), i64.const(insn.scale));
    sum = sum === null ? index : i64.add(sum, index);
  }
  const displacement = i64.const2(insn.dispLo, insn.dispHi);
  return sum === null ? displacement : i64.add(sum, displacement);
}

/** Bits 8 to 15. */
export const highByte = (value: I64): I64 => i64.and(i64.shr_u(value, i64.const(8)), i64.const(0xff));

/** A sign-extended immediate as an operand of `size` bytes, zero-extended. */
export function constant64(value: number, size: Size): I64 {
  switch (size) {
    case 8:
      return i64.const(value);
    case 4:
      return i64.const2(value, 0);
    case 2:
      return i64.const2(value & 0xffff, 0);
    default:
      return i64.const2(value & 0xff, 0);
  }
}

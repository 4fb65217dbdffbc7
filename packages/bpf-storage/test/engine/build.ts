import type { Insn } from "../../src/isa/insn.js";
import { AluOp, CALL, Class, Mode, Source } from "../../src/isa/opcodes.js";
import { insn } from "./random-program.js";

/** Instructions by what they do: `mov` and `add` are of 64 bits. */

export const mov = (dst: number, src: number): Insn => insn(Class.Alu64 | AluOp.Mov | Source.X, { dst, src });
export const set = (dst: number, imm: number): Insn => insn(Class.Alu64 | AluOp.Mov | Source.K, { dst, imm });
export const add = (dst: number, imm: number): Insn => insn(Class.Alu64 | AluOp.Add | Source.K, { dst, imm });
export const load = (size: number, dst: number, src: number, off: number): Insn =>
  insn(Class.Ldx | Mode.Mem | size, { dst, src, off });
export const store = (size: number, dst: number, off: number, src: number): Insn =>
  insn(Class.Stx | Mode.Mem | size, { dst, off, src });
export const call = (imm: number): Insn => insn(CALL, { imm });

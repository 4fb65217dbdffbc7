import type { Insn } from "./insn.js";

/** Disassembles one instruction. */
export function format(insn: Insn, _ip?: number): string {
  return insn.op;
}

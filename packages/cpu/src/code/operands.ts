import { Kind, type Operand } from "../decode/index.js";
import * as S from "../state.js";

/** Letter of operand `k` in the form of a handler; "" if no handler takes such. */
export function letterOf(operand: Operand, k: number): string {
  switch (operand.kind) {
    case Kind.Gpr:
    case Kind.Gpr8High:
      return k === 2 ? "c" : "r";
    case Kind.Mem:
      return "m";
    case Kind.Imm:
    case Kind.Const1:
      return "i";
    case Kind.Xmm:
    case Kind.Mmx:
      return "x";
    case Kind.Rel:
      return "-";
    default:
      return "";
  }
}

/** Place of a register in the state block. */
export function slotOf(operand: Operand): number {
  switch (operand.kind) {
    case Kind.Gpr:
      return S.GPR + 8 * operand.reg;
    case Kind.Gpr8High:
      return S.GPR + 8 * operand.reg + 1;
    case Kind.Xmm:
      return S.XMM + 16 * operand.reg;
    case Kind.Mmx:
      return S.FPR + 16 * operand.reg;
    default:
      return 0;
  }
}

/** Exchanges two operands. */
export function swap(a: Operand, b: Operand): void {
  const { kind, reg, size } = a;
  Object.assign(a, b);
  Object.assign(b, { kind, reg, size });
}

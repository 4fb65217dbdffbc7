/**
 * The decoded form of one instruction: what `decode()` fills in and `format()`, the interpreter and the tests read.
 *
 * 64-bit quantities are pairs of signed 32-bit halves (`…Lo`, `…Hi`).
 */

import { FORMS } from "./opcodes.js";
import type { Form } from "./rows.js";

/** Code size of the current code segment in bits: CS.L = 1 gives 64, else CS.D gives 32 or 16. */
export type Mode = 16 | 32 | 64;

/** What an explicit operand is. */
export enum Kind {
  /** Unused operand slot. */
  None = 0,
  /** General register `reg` 0..15 of `size` bytes; of size 1, the low byte (SPL, BPL, SIL, DIL for 4..7). */
  Gpr = 1,
  /** AH, CH, DH, BH: `reg` is 0..3, the register whose bits 15:8 are meant. */
  Gpr8High = 2,
  /** Memory at `Insn.seg:base + (index << scale) + disp`; `size` bytes. */
  Mem = 3,
  /** Immediate: `Insn.immLo/immHi` when `reg` is 0, `Insn.imm2` when `reg` is 1. */
  Imm = 4,
  /** Near branch displacement in `Insn.immLo/immHi`, sign-extended, relative to the next instruction. */
  Rel = 5,
  /** XMM register `reg` 0..15. */
  Xmm = 6,
  /** MMX register `reg` 0..7. */
  Mmx = 7,
  /** Segment register `reg`: ES CS SS DS FS GS = 0..5. */
  Seg = 8,
  /** Control register CR`reg`. */
  Cr = 9,
  /** Debug register DR`reg`. */
  Dr = 10,
  /** x87 stack register ST(`reg`). */
  St = 11,
  /** Far pointer: selector in `Insn.imm2`, offset (zero-extended) in `Insn.immLo`. */
  Far = 12,
  /** The constant 1 of the shift-by-one forms; `Insn.immLo` is 1 too. */
  Const1 = 13,
}

/** Result of `decode()`. */
export enum DecodeStatus {
  /** `out` holds the instruction. */
  Ok = 0,
  /** The instruction needs bytes at or after `end`. */
  Truncated = 1,
  /** Undefined, or of a feature that is not offered: #UD. `out.len` is the number of bytes read to see that. */
  Invalid = 2,
  /** Longer than 15 bytes: #GP(0). SDM vol. 3, 6.15, "Interrupt 13". */
  TooLong = 3,
}

/** One explicit operand; `Insn.operands` owns four of them for good. */
export interface Operand {
  kind: Kind;
  /** Register number, see `Kind`; for `Imm`, which immediate (0 or 1). */
  reg: number;
  /**
   * Bytes of data: 1, 2, 4, 8, 16; memory also 6 and 10 (far pointers, descriptor-table images, m80), 14/28, 94/108,
   * 512. 0 = no data is accessed (lea, nop, invlpg) or the size is not fixed by the instruction (xsave area).
   */
  size: number;
}

/** A decoded instruction. Mutable: make one and hand it to every `decode()` call. */
export class Insn {
  /** Length in bytes, 1..15. */
  len = 0;
  mode: Mode = 64;
  /** Effective operand size in bytes: 2, 4 or 8; 1 for the byte forms. */
  opSize = 4;
  /** Effective address size in bytes: 2, 4 or 8. */
  addrSize = 8;
  /** LOCK prefix present (then the form is lockable and its destination is memory). */
  lock = false;
  /** The last F2/F3 prefix, 0 if there is none or it selects the opcode (mandatory prefix). */
  rep: 0 | 0xf3 | 0xf2 = 0;
  /** Number of explicit operands, 0..4. */
  nops = 0;
  /** Explicit operands in Intel order (destination first); those from `nops` on are stale. */
  readonly operands: readonly [Operand, Operand, Operand, Operand] = [operand(), operand(), operand(), operand()];
  /** Effective segment (0..5) of the memory operand or of the string source; 3 (DS) when there is neither. */
  seg = 3;
  /** Base register 0..15, 16 for RIP (displacement relative to the next instruction), -1 for none. */
  base = -1;
  /** Index register 0..15, -1 for none. */
  index = -1;
  /** Index shift 0..3. */
  scale = 0;
  /** Displacement, low half, sign-extended into `dispHi` (the full 64 bits for moffs64). */
  dispLo = 0;
  dispHi = 0;
  /**
   * First immediate, or branch displacement. Arithmetic immediates are sign-extended to 64 bits; counts, ports, vectors,
   * selectors, byte controls and frame sizes are zero-extended.
   */
  immLo = 0;
  immHi = 0;
  /** Second immediate: nesting level of enter, selector of a far pointer; else 0. */
  imm2 = 0;
  /** Ordinal of the table row that matched: dense, stable within one build, usable as an array index. */
  form = 0;
  /**
   * Ordinal of all that instructions have in common which differ only in register numbers, address and immediates: `form`, 64-bit code or
   * not, operand and address size, memory operand or register. Below `SHAPES`, usable as an array index.
   */
  shape = 0;
  /** Bytes of displacement in the encoding (0, 1, 2, 4, 8); lets the disassembler tell `[rax]` from `[rax+0]`. */
  dispSize = 0;
  /** Segment named by an override prefix that has an effect (0..5), else -1. */
  segOverride = -1;

  /** Mnemonic; families `jcc`, `setcc`, `cmovcc` carry the condition in `cc`. */
  get op(): string {
    return (FORMS[this.form] as Form).op;
  }
  /** Condition code 0..15 of the `…cc` families (SDM vol. 1, appendix B), else -1. */
  get cc(): number {
    return (FORMS[this.form] as Form).cc;
  }
}

function operand(): Operand {
  return { kind: Kind.None, reg: 0, size: 0 };
}

/** A copy that stays when the original is reused. Field by field: all instructions are to be of one hidden class. */
export function cloneInsn(insn: Insn): Insn {
  const copy = new Insn();
  copy.len = insn.len;
  copy.mode = insn.mode;
  copy.opSize = insn.opSize;
  copy.addrSize = insn.addrSize;
  copy.lock = insn.lock;
  copy.rep = insn.rep;
  copy.nops = insn.nops;
  copy.seg = insn.seg;
  copy.base = insn.base;
  copy.index = insn.index;
  copy.scale = insn.scale;
  copy.dispLo = insn.dispLo;
  copy.dispHi = insn.dispHi;
  copy.immLo = insn.immLo;
  copy.immHi = insn.immHi;
  copy.imm2 = insn.imm2;
  copy.form = insn.form;
  copy.shape = insn.shape;
  copy.dispSize = insn.dispSize;
  copy.segOverride = insn.segOverride;
  for (let k = 0; k < 4; k++) {
    const [from, to] = [insn.operands[k] as Operand, copy.operands[k] as Operand];
    to.kind = from.kind;
    to.reg = from.reg;
    to.size = from.size;
  }
  return copy;
}

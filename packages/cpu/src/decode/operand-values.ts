/**
 * From operand codes to operands: registers, immediates, displacements.
 *
 * A hot path, hence `!` on element reads: table indices are in range by construction, and a byte past the end reads as
 * undefined, which the bit operations turn into 0; `decode()` then sees that the position is too far.
 */

import { type Insn, Kind, type Operand } from "./insn.js";
import { read32 } from "./memory.js";
import { Enc, SIZES, SIZES_STRIDE, Width } from "./operands.js";
import * as F from "./packed-forms.js";

const CS = 1;
const LAST_SEGMENT = 5;

/** Control registers that exist: CR0, CR2, CR3, CR4, CR8. */
const CONTROL_REGISTERS = 0x11d;
const LAST_DEBUG_REGISTER = 7;

/** Read position, advanced over immediates by the functions below. */
let cursor = 0;

/**
 * Decodes the operands of a form into `out`, whose sizes and memory fields are already set.
 * @param row index of the form in `PACKED_FORMS`
 * @param sizeRow row of `SIZES` for the operand size and mode
 * @returns the position after the last immediate, possibly past the end of what may be read; -1 when an operand names a
 * register that does not exist (#UD)
 */
export function decodeOperands(
  bytes: Uint8Array,
  pos: number,
  row: number,
  opcode: number,
  modrm: number,
  rex: number,
  sizeRow: number,
  out: Insn,
): number {
  const form = F.PACKED_FORMS[row]!;
  const count = form & F.FORM_COUNT;
  const sizes = sizeRow * SIZES_STRIDE;
  out.nops = count;
  cursor = pos;
  if (count > 0) {
    let codes = F.PACKED_FORMS[row + 1]!;
    for (let i = 0; i < count; i++) {
      if (i === 2) codes = F.PACKED_FORMS[row + 2]!;
      if (!decodeOperand(bytes, codes, out.operands[i]!, opcode, modrm, rex, sizes, out)) return -1;
      codes >>= F.OPERAND_BITS;
    }
    if (form & F.FORM_NOT_CS && out.operands[0].reg === CS) return -1;
  }
  return cursor;
}

/** Decodes one operand. @returns false when the register does not exist (#UD). */
function decodeOperand(
  bytes: Uint8Array,
  code: number,
  operand: Operand,
  opcode: number,
  modrm: number,
  rex: number,
  sizes: number,
  out: Insn,
): boolean {
  switch ((code & F.ENC_MASK) as Enc) {
    case Enc.E:
      if (modrm < 0xc0) return memory(operand, SIZES[sizes + ((code >> F.MEMORY_WIDTH_SHIFT) & F.WIDTH_MASK)]!);
      return general(
        operand,
        (modrm & 7) | ((rex & 1) << 3),
        SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!,
        rex,
      );
    case Enc.G:
      return general(
        operand,
        ((modrm >> 3) & 7) | ((rex & 4) << 1),
        SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!,
        rex,
      );
    case Enc.Z:
      return general(
        operand,
        (opcode & 7) | ((rex & 1) << 3),
        SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!,
        rex,
      );
    case Enc.M:
      return memory(operand, SIZES[sizes + ((code >> F.MEMORY_WIDTH_SHIFT) & F.WIDTH_MASK)]!);
    case Enc.V:
      return register(operand, Kind.Xmm, ((modrm >> 3) & 7) | ((rex & 4) << 1), 16);
    case Enc.W:
      if (modrm < 0xc0) return memory(operand, SIZES[sizes + ((code >> F.MEMORY_WIDTH_SHIFT) & F.WIDTH_MASK)]!);
      return register(operand, Kind.Xmm, (modrm & 7) | ((rex & 1) << 3), 16);
    case Enc.U:
      return register(operand, Kind.Xmm, (modrm & 7) | ((rex & 1) << 3), 16);
    case Enc.P:
      return register(operand, Kind.Mmx, (modrm >> 3) & 7, 8);
    case Enc.Q:
      if (modrm < 0xc0) return memory(operand, SIZES[sizes + ((code >> F.MEMORY_WIDTH_SHIFT) & F.WIDTH_MASK)]!);
      return register(operand, Kind.Mmx, modrm & 7, 8);
    case Enc.N:
      return register(operand, Kind.Mmx, modrm & 7, 8);
    case Enc.I:
      return immediate(bytes, operand, SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!, out);
    case Enc.S:
      signed(bytes, SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!, out);
      return register(operand, Kind.Imm, 0, out.opSize);
    case Enc.I2:
      out.imm2 = bytes[cursor++]! | 0;
      return register(operand, Kind.Imm, 1, 1);
    case Enc.J:
      signed(bytes, SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!, out);
      return register(operand, Kind.Rel, 0, out.opSize);
    case Enc.A:
      immediate(bytes, operand, SIZES[sizes + Width.v]!, out);
      out.imm2 = bytes[cursor]! | (bytes[cursor + 1]! << 8);
      cursor += 2;
      return register(operand, Kind.Far, 0, SIZES[sizes + Width.p]!);
    case Enc.O:
      absolute(bytes, out);
      return memory(operand, SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!);
    case Enc.SegReg:
      return register(operand, Kind.Seg, (modrm >> 3) & 7, 2) && operand.reg <= LAST_SEGMENT;
    case Enc.C:
      register(
        operand,
        Kind.Cr,
        ((modrm >> 3) & 7) | ((rex & 4) << 1),
        SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!,
      );
      return ((CONTROL_REGISTERS >> operand.reg) & 1) === 1;
    case Enc.D:
      register(
        operand,
        Kind.Dr,
        ((modrm >> 3) & 7) | ((rex & 4) << 1),
        SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!,
      );
      return operand.reg <= LAST_DEBUG_REGISTER;
    case Enc.FixedGpr:
      return register(
        operand,
        Kind.Gpr,
        (code >> F.MEMORY_WIDTH_SHIFT) & F.WIDTH_MASK,
        SIZES[sizes + ((code >> F.WIDTH_SHIFT) & F.WIDTH_MASK)]!,
      );
    case Enc.FixedSeg:
      return register(operand, Kind.Seg, (code >> F.MEMORY_WIDTH_SHIFT) & F.WIDTH_MASK, 2);
    case Enc.One:
      out.immLo = 1;
      return register(operand, Kind.Const1, 0, 1);
    case Enc.T0:
      return register(operand, Kind.St, 0, 10);
    case Enc.Ti:
      return register(operand, Kind.St, modrm & 7, 10);
  }
}

function register(operand: Operand, kind: Kind, reg: number, size: number): true {
  operand.kind = kind;
  operand.reg = reg;
  operand.size = size;
  return true;
}

function memory(operand: Operand, size: number): true {
  operand.kind = Kind.Mem;
  operand.reg = 0;
  operand.size = size;
  return true;
}

/** A general register; byte registers 4..7 are AH..BH unless there is a REX prefix. */
function general(operand: Operand, reg: number, size: number, rex: number): true {
  const high = size === 1 && rex === 0 && reg >= 4;
  operand.kind = high ? Kind.Gpr8High : Kind.Gpr;
  operand.reg = high ? reg - 4 : reg;
  operand.size = size;
  return true;
}

/** Zero-extended immediate of 1, 2 or 4 bytes. */
function immediate(bytes: Uint8Array, operand: Operand, size: number, out: Insn): true {
  const pos = cursor;
  cursor = pos + size;
  if (size === 1) out.immLo = bytes[pos]! | 0;
  else if (size === 2) out.immLo = bytes[pos]! | (bytes[pos + 1]! << 8);
  else out.immLo = read32(bytes, pos);
  return register(operand, Kind.Imm, 0, size);
}

/** Sign-extended immediate of 1, 2, 4 or 8 bytes. */
function signed(bytes: Uint8Array, size: number, out: Insn): void {
  const pos = cursor;
  cursor = pos + size;
  let low: number;
  if (size === 1) low = (bytes[pos]! << 24) >> 24;
  else if (size === 2) low = ((bytes[pos]! << 16) | (bytes[pos + 1]! << 24)) >> 16;
  else low = read32(bytes, pos);
  out.immLo = low;
  out.immHi = size === 8 ? read32(bytes, pos + 4) : low >> 31;
}

/** Address in place of a modrm byte (mov AL, moffs8 and the like). */
function absolute(bytes: Uint8Array, out: Insn): void {
  const pos = cursor;
  const size = out.addrSize;
  cursor = pos + size;
  out.dispSize = size;
  out.dispLo = size === 2 ? bytes[pos]! | (bytes[pos + 1]! << 8) : read32(bytes, pos);
  out.dispHi = size === 8 ? read32(bytes, pos + 4) : 0;
}

/**
 * The instruction decoder: prefixes, opcode maps, operands (SDM vol. 2, chapter 2).
 *
 * This is a hot path, hence `!` on element reads: table indices are in range by construction, and a byte past the end of
 * the array reads as undefined, which the bit operations turn into 0; the final check against `stop` then rejects it.
 */

import { DecodeStatus, Insn, Kind, type Mode, type Operand } from "./insn.js";
import { decodeMemory, read32 } from "./memory.js";
import { OPCODES, OpcodeMap } from "./opcodes.js";
import { Enc, type OperandCode, SIZES, SIZES_STRIDE, Width } from "./operands.js";
import { type Form, SizeRule } from "./rows.js";

/** Longest instruction, in bytes; a longer one is #GP(0). */
const MAX_LENGTH = 15;

const enum Prefix {
  None = 0,
  /** Segment override, of segment `class - Segment`. */
  Segment = 1,
  OperandSize = 7,
  AddressSize = 8,
  Lock = 9,
  Repeat = 10,
  Rex = 11,
}

/** Prefix class of each byte; REX only counts in 64-bit mode. */
const PREFIX_CLASS = new Uint8Array(256);
[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].forEach((byte, segment) => {
  PREFIX_CLASS[byte] = Prefix.Segment + segment;
});
PREFIX_CLASS.fill(Prefix.Rex, 0x40, 0x50);
PREFIX_CLASS.fill(Prefix.OperandSize, 0x66, 0x67);
PREFIX_CLASS.fill(Prefix.AddressSize, 0x67, 0x68);
PREFIX_CLASS.fill(Prefix.Lock, 0xf0, 0xf1);
PREFIX_CLASS.fill(Prefix.Repeat, 0xf2, 0xf4);

const FIRST_FS = 4;
const DS = 3;
const CS = 1;
const LAST_SEGMENT = 5;

/** Control registers that exist: CR0, CR2, CR3, CR4, CR8. */
const CONTROL_REGISTERS = 0x11d;
const LAST_DEBUG_REGISTER = 7;

/** Read position shared with the operand decoders, which advance it over immediates. */
let cursor = 0;

/**
 * Decodes the instruction at `bytes[offset]`; bytes at and after `end` (at most `bytes.length`) are not used.
 *
 * Allocates nothing. `out` is meaningful only when the result is `DecodeStatus.Ok`, except that `out.len` is the number
 * of bytes looked at when it is `Invalid`.
 */
export function decode(bytes: Uint8Array, offset: number, end: number, mode: Mode, out: Insn): DecodeStatus {
  const limit = offset + MAX_LENGTH;
  const stop = end < limit ? end : limit;
  const is64 = mode === 64;
  let pos = offset;
  let has66 = false;
  let has67 = false;
  let lock = false;
  let rep: 0 | 0xf2 | 0xf3 = 0;
  let rex = 0;
  let segOverride = -1;
  let opcode = 0;

  for (;;) {
    if (pos >= stop) return outOfBytes(stop, limit);
    opcode = bytes[pos++]!;
    const prefix = PREFIX_CLASS[opcode]!;
    if (prefix === Prefix.None) break;
    if (prefix === Prefix.Rex) {
      if (!is64) break;
      rex = opcode;
      continue;
    }
    rex = 0; // a REX that is not right before the opcode has no effect
    switch (prefix) {
      case Prefix.OperandSize:
        has66 = true;
        break;
      case Prefix.AddressSize:
        has67 = true;
        break;
      case Prefix.Lock:
        lock = true;
        break;
      case Prefix.Repeat:
        rep = opcode as 0xf2 | 0xf3;
        break;
      default:
        if (!is64 || prefix - Prefix.Segment >= FIRST_FS) segOverride = prefix - Prefix.Segment;
    }
  }

  let map = is64 ? 4 : 0;
  if (opcode === 0x0f) {
    if (pos >= stop) return outOfBytes(stop, limit);
    opcode = bytes[pos++]!;
    map |= OpcodeMap.Map0F;
    if (opcode === 0x38 || opcode === 0x3a) {
      map ^= opcode === 0x38 ? OpcodeMap.Map0F ^ OpcodeMap.Map0F38 : OpcodeMap.Map0F ^ OpcodeMap.Map0F3A;
      if (pos >= stop) return outOfBytes(stop, limit);
      opcode = bytes[pos++]!;
    }
  }
  const entry = OPCODES[(map << 8) | opcode]!;
  if (entry === null) {
    out.len = pos - offset;
    return DecodeStatus.Invalid;
  }
  let modrm = 0;
  if (entry.hasModrm) {
    if (pos >= stop) return outOfBytes(stop, limit);
    modrm = bytes[pos++]!;
  }
  const rexW = (rex >> 3) & 1;
  const prefixIndex = rep === 0 ? (has66 ? 1 : 0) : rep === 0xf3 ? 2 : 3;
  const index =
    prefixIndex * entry.byPrefix +
    rexW * entry.byW +
    (rex & 1) * entry.byB +
    ((modrm >> 3) & 7) * entry.byReg +
    (modrm >= 0xc0 ? entry.byMod : 0) +
    (modrm & 7) * entry.byRm;
  const form = entry.forms[index]!;
  if (form === null) {
    out.len = pos - offset;
    return DecodeStatus.Invalid;
  }
  if (form.noMod) modrm |= 0xc0;
  const isMemory = form.hasModrm && modrm < 0xc0;
  if (lock && !(form.lockable && isMemory)) {
    out.len = pos - offset;
    return DecodeStatus.Invalid;
  }

  out.op = form.op;
  out.cc = form.cc;
  out.form = form.id;
  out.mode = mode;
  out.lock = lock;
  out.rep = form.eatsRep ? 0 : rep;
  out.addrSize = is64 ? (has67 ? 4 : 8) : (mode === 32) === has67 ? 2 : 4;
  out.segOverride = segOverride;
  out.immLo = 0;
  out.immHi = 0;
  out.imm2 = 0;
  const sizeIndex = setOperandSize(form, out, mode, has66 && !form.eats66, rexW);

  if (isMemory) {
    pos = decodeMemory(bytes, pos, modrm, rex, out);
  } else {
    out.base = -1;
    out.index = -1;
    out.scale = 0;
    out.dispLo = 0;
    out.dispHi = 0;
    out.dispSize = 0;
    out.seg = segOverride >= 0 ? segOverride : DS;
  }

  const codes = form.operands;
  const count = codes.length;
  const sizes = (is64 ? sizeIndex + 3 : sizeIndex) * SIZES_STRIDE;
  out.nops = count;
  cursor = pos;
  for (let i = 0; i < count; i++) {
    if (!decodeOperand(bytes, codes[i]!, out.operands[i]!, opcode, modrm, rex, sizes, out)) {
      out.len = cursor - offset;
      return DecodeStatus.Invalid;
    }
  }
  if (form.notCs && out.operands[0].reg === CS) {
    out.len = cursor - offset;
    return DecodeStatus.Invalid;
  }
  if (cursor > stop) return outOfBytes(stop, limit);
  out.len = cursor - offset;
  return DecodeStatus.Ok;
}

/** Bytes from `stop` on are needed: they are missing unless the length limit is what stops. */
function outOfBytes(stop: number, limit: number): DecodeStatus {
  return stop === limit ? DecodeStatus.TooLong : DecodeStatus.Truncated;
}

/** Sets `out.opSize`. @returns log2 of the operand size in bytes that the `v` widths follow, minus 1. */
function setOperandSize(form: Form, out: Insn, mode: Mode, has66: boolean, rexW: number): number {
  const rule = form.sizeRule;
  let index = 1;
  if (mode === 64) {
    if (rexW !== 0 || rule === SizeRule.Force64) index = 2;
    else if (has66) index = 0;
    else if (rule === SizeRule.Default64) index = 2;
  } else if ((mode === 32) === has66) {
    index = 0;
  }
  if (rule === SizeRule.AtMost32 && index === 2) index = 1;
  out.opSize = rule === SizeRule.Byte ? 1 : 2 << index;
  return index;
}

/** Decodes one operand. @returns false when the register does not exist (#UD). */
function decodeOperand(
  bytes: Uint8Array,
  code: OperandCode,
  operand: Operand,
  opcode: number,
  modrm: number,
  rex: number,
  sizes: number,
  out: Insn,
): boolean {
  switch (code.enc) {
    case Enc.E:
      if (modrm < 0xc0) return memory(operand, SIZES[sizes + code.memWidth]!);
      return general(operand, (modrm & 7) | ((rex & 1) << 3), SIZES[sizes + code.width]!, rex);
    case Enc.G:
      return general(operand, ((modrm >> 3) & 7) | ((rex & 4) << 1), SIZES[sizes + code.width]!, rex);
    case Enc.Z:
      return general(operand, (opcode & 7) | ((rex & 1) << 3), SIZES[sizes + code.width]!, rex);
    case Enc.M:
      return memory(operand, SIZES[sizes + code.memWidth]!);
    case Enc.V:
      return register(operand, Kind.Xmm, ((modrm >> 3) & 7) | ((rex & 4) << 1), 16);
    case Enc.W:
      if (modrm < 0xc0) return memory(operand, SIZES[sizes + code.memWidth]!);
      return register(operand, Kind.Xmm, (modrm & 7) | ((rex & 1) << 3), 16);
    case Enc.U:
      return register(operand, Kind.Xmm, (modrm & 7) | ((rex & 1) << 3), 16);
    case Enc.P:
      return register(operand, Kind.Mmx, (modrm >> 3) & 7, 8);
    case Enc.Q:
      if (modrm < 0xc0) return memory(operand, SIZES[sizes + code.memWidth]!);
      return register(operand, Kind.Mmx, modrm & 7, 8);
    case Enc.N:
      return register(operand, Kind.Mmx, modrm & 7, 8);
    case Enc.I:
      return immediate(bytes, operand, SIZES[sizes + code.width]!, out);
    case Enc.S:
      signed(bytes, SIZES[sizes + code.width]!, out);
      return register(operand, Kind.Imm, 0, out.opSize);
    case Enc.I2:
      out.imm2 = bytes[cursor++]! | 0;
      return register(operand, Kind.Imm, 1, 1);
    case Enc.J:
      signed(bytes, SIZES[sizes + code.width]!, out);
      return register(operand, Kind.Rel, 0, out.opSize);
    case Enc.A:
      immediate(bytes, operand, SIZES[sizes + Width.v]!, out);
      out.imm2 = bytes[cursor]! | (bytes[cursor + 1]! << 8);
      cursor += 2;
      return register(operand, Kind.Far, 0, SIZES[sizes + Width.p]!);
    case Enc.O:
      absolute(bytes, out);
      return memory(operand, SIZES[sizes + code.width]!);
    case Enc.SegReg:
      return register(operand, Kind.Seg, (modrm >> 3) & 7, 2) && operand.reg <= LAST_SEGMENT;
    case Enc.C:
      register(operand, Kind.Cr, ((modrm >> 3) & 7) | ((rex & 4) << 1), SIZES[sizes + code.width]!);
      return ((CONTROL_REGISTERS >> operand.reg) & 1) === 1;
    case Enc.D:
      register(operand, Kind.Dr, ((modrm >> 3) & 7) | ((rex & 4) << 1), SIZES[sizes + code.width]!);
      return operand.reg <= LAST_DEBUG_REGISTER;
    case Enc.FixedGpr:
      return register(operand, Kind.Gpr, code.arg, SIZES[sizes + code.width]!);
    case Enc.FixedSeg:
      return register(operand, Kind.Seg, code.arg, 2);
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

/**
 * The instruction decoder: prefixes, opcode maps, operands (SDM vol. 2, chapter 2).
 *
 * This is a hot path, hence `!` on element reads: table indices are in range by construction, and a byte past the end of
 * the array reads as undefined, which the bit operations turn into 0; the final check against `stop` then rejects it.
 */

import { DecodeStatus, type Insn, type Mode } from "./insn.js";
import { decodeMemory } from "./memory.js";
import * as O from "./opcodes.js";
import { decodeOperands } from "./operand-values.js";
import * as F from "./packed-forms.js";
import { SizeRule } from "./rows.js";

/** Longest instruction, in bytes; a longer one is #GP(0). */
const MAX_LENGTH = 15;

enum Prefix {
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

/** Shapes of a form: operand size and code size in 3 bits, then the address size, then whether there is a modrm that is memory. */
const SHAPE_BITS = 5;
/** `Insn.shape` is below it. */
export const SHAPES = O.FORMS.length << SHAPE_BITS;

const FIRST_FS = 4;
const DS = 3;

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
    map |= O.OpcodeMap.Map0F;
    if (opcode === 0x38 || opcode === 0x3a) {
      map ^= opcode === 0x38 ? O.OpcodeMap.Map0F ^ O.OpcodeMap.Map0F38 : O.OpcodeMap.Map0F ^ O.OpcodeMap.Map0F3A;
      if (pos >= stop) return outOfBytes(stop, limit);
      opcode = bytes[pos++]!;
    }
  }
  const packed = O.OPCODES[(map << 8) | opcode]!;
  if (packed === 0) {
    out.len = pos - offset;
    return DecodeStatus.Invalid;
  }
  let modrm = 0;
  if (packed & O.OPCODE_MODRM) {
    if (pos >= stop) return outOfBytes(stop, limit);
    modrm = bytes[pos++]!;
  }
  const rexW = (rex >> 3) & 1;
  let number = packed >> O.OPCODE_SHIFT;
  if (packed & O.BY_ANY) {
    let index = 0;
    if (packed & O.BY_PREFIX) index = rep === 0 ? (has66 ? 1 : 0) : rep === 0xf3 ? 2 : 3;
    if (packed & O.BY_B) index = 2 * index + (rex & 1);
    if (packed & O.BY_W) index = 2 * index + rexW;
    if (packed & O.BY_MOD) index = 2 * index + (modrm >= 0xc0 ? 1 : 0);
    if (packed & O.BY_REG) index = 8 * index + ((modrm >> 3) & 7);
    if (packed & O.BY_RM) index = 8 * index + (modrm & 7);
    number = O.FORM_NUMBERS[number + index]!;
  }
  const id = number - 1;
  if (id < 0) {
    out.len = pos - offset;
    return DecodeStatus.Invalid;
  }
  const row = id * F.FORM_WORDS;
  const form = F.PACKED_FORMS[row]!;
  if (form & F.FORM_NO_MOD) modrm |= 0xc0;
  const isMemory = (form & F.FORM_MODRM) !== 0 && modrm < 0xc0;

  out.form = id;
  out.mode = mode;
  out.lock = lock;
  out.rep = form & F.FORM_EATS_REP ? 0 : rep;
  const longAddress = is64 ? !has67 : (mode === 32) !== has67;
  out.addrSize = is64 ? (longAddress ? 8 : 4) : longAddress ? 4 : 2;
  out.segOverride = segOverride;
  out.immLo = 0;
  out.immHi = 0;
  out.imm2 = 0;
  const sizeIndex = setOperandSize(form >> F.FORM_RULE_SHIFT, out, mode, has66 && (form & F.FORM_EATS_66) === 0, rexW);
  const sizeRow = is64 ? sizeIndex + 3 : sizeIndex;
  out.shape = (id << SHAPE_BITS) | (sizeRow << 2) | (longAddress ? 2 : 0) | (isMemory ? 1 : 0);

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

  const next = decodeOperands(bytes, pos, row, opcode, modrm, rex, sizeRow, out);
  if (next < 0) {
    out.len = pos - offset;
    return DecodeStatus.Invalid;
  }
  if (next > stop) return outOfBytes(stop, limit);
  out.len = next - offset;
  // Every byte must be there before this is found (recorded from hardware).
  return lock && !((form & F.FORM_LOCKABLE) !== 0 && isMemory) ? DecodeStatus.Invalid : DecodeStatus.Ok;
}

/** Bytes from `stop` on are needed: they are missing unless the length limit is what stops. */
function outOfBytes(stop: number, limit: number): DecodeStatus {
  return stop === limit ? DecodeStatus.TooLong : DecodeStatus.Truncated;
}

/** Sets `out.opSize`. @returns log2 of the operand size in bytes that the `v` widths follow, minus 1. */
function setOperandSize(rule: SizeRule, out: Insn, mode: Mode, has66: boolean, rexW: number): number {
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

import { type Insn, Kind, type Operand } from "../../decode/index.js";
import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import { Seg, Vector } from "../registers/constants.js";
import { add64, type Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";

const scratch: Halves = { lo: 0, hi: 0 };

/** Offset of the memory operand in its segment. */
export function effectiveOffset(vcpu: VcpuContext, insn: Insn, out: Halves): void {
  out.lo = insn.dispLo;
  out.hi = insn.dispHi;
  if (insn.base === 16) {
    add64(scratch, vcpu.ripLo, vcpu.ripHi, insn.len, 0);
    add64(out, out.lo, out.hi, scratch.lo, scratch.hi);
  } else if (insn.base >= 0) add64(out, out.lo, out.hi, vcpu.regLo(insn.base), vcpu.regHi(insn.base));
  if (insn.index >= 0) {
    let lo = vcpu.regLo(insn.index);
    let hi = vcpu.regHi(insn.index);
    for (let k = 0; k < insn.scale; k++) {
      hi = (hi << 1) | (lo >>> 31);
      lo <<= 1;
    }
    add64(out, out.lo, out.hi, lo, hi);
  }
  truncateAddress(out, insn.addrSize);
}

export function truncateAddress(out: Halves, addrSize: number): void {
  if (addrSize === 8) return;
  out.hi = 0;
  if (addrSize === 2) out.lo &= 0xffff;
}

/** Adds the base of segment `seg`, which 64-bit code ignores except for FS and GS. */
function toLinear(vcpu: VcpuContext, seg: number, out: Halves): void {
  if (vcpu.mode === 64 && seg < Seg.FS) return;
  const { baseLo, baseHi } = vcpu.segments[seg] as SegmentCache;
  add64(out, out.lo, out.hi, baseLo, baseHi);
  if (vcpu.mode !== 64) out.hi = 0;
}

/**
 * Turns the offset in `out` into a linear address. Outside 64-bit code the `size` bytes there must be within what segment `seg` allows
 * (SDM vol. 3, 5.3 and 5.4.1). False with #GP(0), or #SS(0) for the stack segment, pending.
 */
export function checkedLinear(vcpu: VcpuContext, seg: number, out: Halves, size: number, write: boolean): boolean {
  if (vcpu.mode !== 64) {
    const range = S.SEG_RANGE + 16 * seg + (write ? 8 : 0);
    const first = out.lo >>> 0;
    const high = vcpu.i32(range + 4) >>> 0;
    // In a flat segment accesses wrap at 4 GiB (recorded from hardware).
    const flat = high === 0xffffffff && vcpu.i32(S.SEG_BASE + 8 * seg) === 0;
    if (first < vcpu.i32(range) >>> 0 || (first + size - 1 > high && !flat)) {
      return vcpu.raiseError(seg === Seg.SS ? Vector.SS : Vector.GP, 0);
    }
  }
  toLinear(vcpu, seg, out);
  return true;
}

/** Linear address of the memory operand, whose `size` bytes will be read or written; see `checkedLinear`. */
export function effectiveAddress(vcpu: VcpuContext, insn: Insn, out: Halves, size: number, write: boolean): boolean {
  effectiveOffset(vcpu, insn, out);
  return checkedLinear(vcpu, insn.seg, out, size, write);
}

/** Linear address of a memory operand that is named, not accessed. */
export function namedAddress(vcpu: VcpuContext, insn: Insn, out: Halves): void {
  effectiveOffset(vcpu, insn, out);
  toLinear(vcpu, insn.seg, out);
}

const address: Halves = { lo: 0, hi: 0 };

/** Reads operand `k` (register, memory or immediate) into `out`, zero-extended. False with an exception pending. */
export function readOperand(vcpu: VcpuContext, insn: Insn, k: number, out: Halves): boolean {
  const operand = insn.operands[k] as Operand;
  switch (operand.kind) {
    case Kind.Mem:
      if (!effectiveAddress(vcpu, insn, address, operand.size, false)) return false;
      return vcpu.linear.read(address.lo, address.hi, operand.size, out);
    case Kind.Gpr8High:
      out.lo = vcpu.u8(S.GPR + 8 * operand.reg + 1);
      out.hi = 0;
      return true;
    case Kind.Gpr:
      out.lo = vcpu.regLo(operand.reg);
      out.hi = operand.size === 8 ? vcpu.regHi(operand.reg) : 0;
      if (operand.size === 1) out.lo &= 0xff;
      else if (operand.size === 2) out.lo &= 0xffff;
      return true;
    default:
      out.lo = insn.immLo;
      out.hi = insn.immHi;
      return true;
  }
}

/** Writes operand `k`: 4-byte registers are zero-extended, shorter ones merged. */
export function writeOperand(vcpu: VcpuContext, insn: Insn, k: number, lo: number, hi: number): boolean {
  const operand = insn.operands[k] as Operand;
  if (operand.kind === Kind.Mem) {
    if (!effectiveAddress(vcpu, insn, address, operand.size, true)) return false;
    return vcpu.linear.write(address.lo, address.hi, operand.size, lo, hi);
  }
  if (operand.kind === Kind.Gpr8High) vcpu.setU8(S.GPR + 8 * operand.reg + 1, lo);
  else writeRegister(vcpu, operand.reg, operand.size, lo, hi);
  return true;
}

export function writeRegister(vcpu: VcpuContext, reg: number, size: number, lo: number, hi: number): void {
  if (size === 8) vcpu.setReg(reg, lo, hi);
  else if (size === 4) vcpu.setReg(reg, lo, 0);
  else if (size === 2) vcpu.setU16(S.GPR + 8 * reg, lo);
  else vcpu.setU8(S.GPR + 8 * reg, lo);
}

/** Pushes `size` bytes on the stack of the current mode. */
export function push(vcpu: VcpuContext, size: number, lo: number, hi: number): boolean {
  const sp: Halves = { lo: 0, hi: 0 };
  stackPointer(vcpu, -size, sp);
  const at = { ...sp };
  if (!checkedLinear(vcpu, Seg.SS, at, size, true)) return false;
  if (!vcpu.linear.write(at.lo, at.hi, size, lo, hi)) return false;
  setStackPointer(vcpu, sp);
  return true;
}

/** Reads `size` bytes at `offset` bytes above the stack pointer into `out`. */
export function peekStack(vcpu: VcpuContext, offset: number, size: number, out: Halves): boolean {
  if (size === 8 && offset >= 0 && vcpu.mode === 64 && vcpu.linear.peekKnown(offset, out)) return true;
  stackPointer(vcpu, offset, address);
  if (!checkedLinear(vcpu, Seg.SS, address, size, false)) return false;
  return vcpu.linear.read(address.lo, address.hi, size, out);
}

/** Moves the stack pointer by `delta` bytes. */
export function adjustStack(vcpu: VcpuContext, delta: number): void {
  stackPointer(vcpu, delta, address);
  setStackPointer(vcpu, address);
}

function stackPointer(vcpu: VcpuContext, delta: number, out: Halves): void {
  add64(out, vcpu.regLo(4), vcpu.regHi(4), delta, delta >> 31);
  if (vcpu.mode !== 64) {
    out.hi = 0;
    out.lo &= vcpu.i32(S.STACK_MASK);
  }
}

export function setStackPointer(vcpu: VcpuContext, sp: Halves): void {
  if (vcpu.mode === 64) vcpu.setReg(4, sp.lo, sp.hi);
  else {
    const mask = vcpu.i32(S.STACK_MASK);
    vcpu.setReg(4, (vcpu.regLo(4) & ~mask) | (sp.lo & mask), 0);
  }
}

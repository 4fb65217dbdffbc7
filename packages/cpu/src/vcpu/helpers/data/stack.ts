import { Kind } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { adjustStack, checkedLinear, peekStack, push, writeOperand, writeRegister } from "../../memory/operands.js";
import { Seg } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import type { SegmentCache } from "../../registers/segment-cache.js";
import { loadSegment } from "../../segments/segments.js";
import { done, FAULT, iopl8086, NEXT } from "../common.js";

const value: Halves = { lo: 0, hi: 0 };

/** POP to memory, whose address is computed after the stack pointer moved, and POP to a segment register. */
const pop: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  const operand = insn.operands[0];
  if (!peekStack(vcpu, 0, size, value)) return FAULT;
  const { lo, hi } = value;
  if (operand.kind === Kind.Seg) {
    if (!loadSegment(vcpu, operand.reg, lo & 0xffff)) return FAULT;
    adjustStack(vcpu, size);
    if (operand.reg === Seg.SS) vcpu.holdInterrupts();
    return NEXT;
  }
  const before: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
  adjustStack(vcpu, size);
  if (writeOperand(vcpu, insn, 0, lo, hi)) return NEXT;
  vcpu.setReg(4, ...before);
  return FAULT;
};

/** PUSH of a segment register. With a 32-bit operand the upper half stays as it is in memory (SDM vol. 2, PUSH). */
const pushSegment: Helper = (vcpu, { insn }) => {
  const { selector } = vcpu.segments[insn.operands[0].reg] as SegmentCache;
  if (insn.opSize !== 4) return done(push(vcpu, insn.opSize, selector, 0));
  const before: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
  adjustStack(vcpu, -2);
  if (push(vcpu, 2, selector, 0)) return NEXT;
  vcpu.setReg(4, ...before);
  return FAULT;
};

/** Flags POPF and IRET may change at `cpl`: SDM vol. 2, POPF. */
export function writableFlags(vcpu: VcpuContext, size: number): number {
  const { cpl } = vcpu;
  const iopl = (vcpu.flags >> 12) & 3;
  let mask = S.ARITH | S.TF | S.DF | S.NT | S.AC | S.ID | S.RF;
  if (cpl === 0) mask |= S.IOPL;
  if (cpl <= iopl) mask |= S.IF;
  return size === 2 ? mask & 0xffff : mask;
}

const popf: Helper = (vcpu, { insn }) => {
  if (!iopl8086(vcpu) || !peekStack(vcpu, 0, insn.opSize, value)) return FAULT;
  adjustStack(vcpu, insn.opSize);
  const mask = writableFlags(vcpu, insn.opSize) & ~S.RF;
  vcpu.rflags = ((vcpu.rflags & ~mask) | (value.lo & mask)) & ~S.RF;
  vcpu.flagsChanged();
  return NEXT;
};

const pusha: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  const sp = vcpu.regLo(4);
  for (let r = 0; r < 8; r++) {
    if (!push(vcpu, size, r === 4 ? sp : vcpu.regLo(r), 0)) {
      vcpu.setReg(4, sp, 0);
      return FAULT;
    }
  }
  return NEXT;
};

/** Each register is loaded as it is popped: those before a fault keep what they got, and RSP has not moved (recorded from hardware). */
const popa: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  for (let k = 0; k < 8; k++) {
    if (!peekStack(vcpu, k * size, size, value)) return FAULT;
    if (k !== 3) writeRegister(vcpu, 7 - k, size, value.lo, 0);
  }
  adjustStack(vcpu, 8 * size);
  return NEXT;
};

/** ENTER: the new frame is probed for writing, as hardware does. SDM vol. 2, ENTER. */
const enter: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  const level = insn.imm2 & 31;
  const rsp: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
  const fail = (): number => {
    vcpu.setReg(4, ...rsp);
    return FAULT;
  };
  if (!push(vcpu, size, vcpu.regLo(5), vcpu.regHi(5))) return fail();
  const frame: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
  if (level > 0) {
    const bp: readonly [number, number] = [vcpu.regLo(5), vcpu.regHi(5)];
    for (let k = 1; k < level; k++) {
      // The display is read through rBP as if it were the stack pointer.
      const sp: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
      vcpu.setReg(4, ...bp);
      const read = peekStack(vcpu, -k * size, size, value);
      vcpu.setReg(4, ...sp);
      if (!read || !push(vcpu, size, value.lo, value.hi)) return fail();
    }
    if (!push(vcpu, size, ...frame)) return fail();
  }
  adjustStack(vcpu, -(insn.immLo & 0xffff));
  const top: Halves = { lo: vcpu.regLo(4) & (vcpu.mode === 64 ? -1 : vcpu.i32(S.STACK_MASK)), hi: 0 };
  if (!checkedLinear(vcpu, Seg.SS, top, size, true) || !vcpu.linear.probeStack(size)) return fail();
  writeRegister(vcpu, 5, size, ...frame);
  return NEXT;
};

export const STACK_HELPERS: Readonly<Record<string, Helper>> = { pop, push: pushSegment, popf, pusha, popa, enter };

import { Kind } from "../../../decode/index.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { adjustStack, effectiveAddress, peekStack, push, writeRegister } from "../../memory/operands.js";
import { canonical } from "../../registers/canonical.js";
import { ATTR_CONFORMING, ATTR_L, ATTR_S, EFER_LMA, Seg, Vector } from "../../registers/constants.js";
import { add64, type Halves } from "../../registers/halves.js";
import type { SegmentCache } from "../../registers/segment-cache.js";
import { CALL_GATE, CALL_GATE_16, throughCallGate } from "../../segments/call-gate.js";
import { checkTarget, checkTargetReal, setCodeReal } from "../../segments/far.js";
import { returnFar } from "../../segments/return-far.js";
import {
  attributesOfDescriptor,
  checkCode,
  type Descriptor,
  installCode,
  loadSegment,
  readDescriptor,
} from "../../segments/segments.js";
import { branchToTask, isTaskState, TASK_GATE } from "../../tasks/task-switch.js";
import { FAULT, JUMP, NEXT } from "../common.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const value: Halves = { lo: 0, hi: 0 };

/** Far target of CALL and JMP, immediate or memory: the selector, and the offset in `out`; -1 with an exception pending. */
function farTarget(vcpu: VcpuContext, { insn }: Parameters<Helper>[1], out: Halves): number {
  const size = insn.opSize;
  if (insn.operands[0].kind === Kind.Far) {
    out.lo = size === 2 ? insn.immLo & 0xffff : insn.immLo;
    out.hi = 0;
    return insn.imm2 & 0xffff;
  }
  if (!effectiveAddress(vcpu, insn, value, size + 2, false)) return -1;
  const at = { ...value };
  if (!vcpu.linear.read(at.lo, at.hi, size, out)) return -1;
  add64(at, at.lo, at.hi, size, 0);
  if (!vcpu.linear.read(at.lo, vcpu.mode === 64 ? at.hi : 0, 2, found)) return -1;
  return found.lo;
}

/** JMP and CALL far: SDM vol. 2. */
const branchFar =
  (call: boolean): Helper =>
  (vcpu, site) => {
    const size = site.insn.opSize;
    const target: Halves = { lo: 0, hi: 0 };
    const selector = farTarget(vcpu, site, target);
    if (selector < 0) return FAULT;
    const next: Halves = { lo: 0, hi: 0 };
    add64(next, vcpu.ripLo, vcpu.ripHi, site.insn.len, 0);
    if (vcpu.mode !== 64) next.hi = 0;
    if (!vcpu.protectedMode) {
      const enter = (): boolean => checkTargetReal(vcpu, target);
      if (!(call ? pushReturn(vcpu, size, next, enter) : enter())) return FAULT;
      setCodeReal(vcpu, selector);
      vcpu.setRip(target.lo, 0);
      return JUMP;
    }
    if ((selector & 0xfffc) === 0) {
      vcpu.raiseError(Vector.GP, 0);
      return FAULT;
    }
    const d = readDescriptor(vcpu, selector);
    if (d === null) return FAULT;
    if (!(attributesOfDescriptor(d) & ATTR_S)) {
      return throughSystemSegment(vcpu, selector, d, call, next) ? JUMP : FAULT;
    }
    if (!checkDirect(vcpu, selector, d)) return FAULT;
    const enter = (): boolean => checkTarget(vcpu, target, d) && installCode(vcpu, selector, d, vcpu.cpl);
    const long = (vcpu.efer & EFER_LMA) !== 0 && (attributesOfDescriptor(d) & ATTR_L) !== 0;
    const pushAndEnter = vcpu.mode !== 64 && long ? pushReturnLong : pushReturn;
    if (!(call ? pushAndEnter(vcpu, size, next, enter) : enter())) return FAULT;
    vcpu.setRip(target.lo, target.hi);
    return JUMP;
  };

/** Pushes CS and the return address and enters the target. The frame stays in memory even if that fails (recorded from hardware). */
function pushReturn(vcpu: VcpuContext, size: number, next: Halves, enter: () => boolean): boolean {
  const sp: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
  const { selector } = vcpu.segments[Seg.CS] as SegmentCache;
  if (push(vcpu, size, selector, 0) && push(vcpu, size, next.lo, next.hi) && enter()) return true;
  vcpu.setReg(4, ...sp);
  return false;
}

/** The same where other code calls 64-bit code: with the stack as that code has it, flat (recorded from hardware). */
function pushReturnLong(vcpu: VcpuContext, size: number, next: Halves, enter: () => boolean): boolean {
  const sp: Halves = { lo: 0, hi: 0 };
  add64(sp, vcpu.regLo(4), vcpu.regHi(4), -2 * size, -1);
  const above: Halves = { lo: 0, hi: 0 };
  add64(above, sp.lo, sp.hi, size, 0);
  const { selector } = vcpu.segments[Seg.CS] as SegmentCache;
  if (!canonical(vcpu, sp.hi) || !canonical(vcpu, above.hi)) return vcpu.raiseError(Vector.SS, 0);
  if (!vcpu.linear.write(above.lo, above.hi, size, selector, 0)) return false;
  if (!vcpu.linear.write(sp.lo, sp.hi, size, next.lo, next.hi) || !enter()) return false;
  vcpu.setReg(4, sp.lo, sp.hi);
  return true;
}

/** Whether a far JMP or CALL may enter code segment `d` without a gate. */
function checkDirect(vcpu: VcpuContext, selector: number, d: Descriptor): boolean {
  const conforming = (attributesOfDescriptor(d) & ATTR_CONFORMING) !== 0;
  if (!conforming && (selector & 3) > vcpu.cpl) return vcpu.raiseError(Vector.GP, selector & 0xfffc);
  return checkCode(vcpu, selector, d, vcpu.cpl);
}

/** A far JMP or CALL whose selector names a gate or a TSS; IA-32e mode has only 64-bit call gates. */
function throughSystemSegment(
  vcpu: VcpuContext,
  selector: number,
  d: Descriptor,
  call: boolean,
  next: Halves,
): boolean {
  const type = attributesOfDescriptor(d) & 0x1f;
  const long = (vcpu.efer & EFER_LMA) !== 0;
  if (type === CALL_GATE || (type === CALL_GATE_16 && !long)) {
    return throughCallGate(vcpu, selector, d, call ? next : null);
  }
  if (!long && (type === TASK_GATE || isTaskState(type))) {
    return branchToTask(vcpu, selector, d, call ? "call" : "jump", next.lo);
  }
  return vcpu.raiseError(Vector.GP, selector & 0xfffc);
}

const retf: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  const rip: Halves = { lo: 0, hi: 0 };
  // CS first (recorded from hardware).
  if (!peekStack(vcpu, size, size, value) || !peekStack(vcpu, 0, size, rip)) return FAULT;
  const selector = value.lo & 0xffff;
  const release = insn.nops > 0 ? insn.immLo & 0xffff : 0;
  if (!vcpu.protectedMode) {
    if (!checkTargetReal(vcpu, rip)) return FAULT;
    adjustStack(vcpu, 2 * size + release);
    setCodeReal(vcpu, selector);
    vcpu.setRip(rip.lo, 0);
    return JUMP;
  }
  return returnFar(vcpu, { selector, rip, size, popped: 2 * size, release, alwaysStack: false }) ? JUMP : FAULT;
};

/** LDS LES LSS LFS LGS. */
const loadFar =
  (seg: Seg): Helper =>
  (vcpu, { insn }) => {
    const size = insn.opSize;
    if (!effectiveAddress(vcpu, insn, value, size + 2, false)) return FAULT;
    const at = { ...value };
    if (!vcpu.linear.read(at.lo, at.hi, size, found)) return FAULT;
    const { lo, hi } = found;
    if (!vcpu.linear.read((at.lo + size) | 0, at.hi, 2, found)) return FAULT;
    if (!loadSegment(vcpu, seg, found.lo)) return FAULT;
    writeRegister(vcpu, insn.operands[0].reg, size, lo, hi);
    return NEXT;
  };

export const TRANSFER_HELPERS: Readonly<Record<string, Helper>> = {
  jmpf: branchFar(false),
  callf: branchFar(true),
  retf,
  les: loadFar(Seg.ES),
  lds: loadFar(Seg.DS),
  lss: loadFar(Seg.SS),
  lfs: loadFar(Seg.FS),
  lgs: loadFar(Seg.GS),
};

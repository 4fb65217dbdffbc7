import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Pending } from "../../context/event.js";
import type { Helper } from "../../context/helper.js";
import { adjustStack, peekStack } from "../../memory/operands.js";
import { EFER_LMA, Vector } from "../../registers/constants.js";
import { add64, type Halves } from "../../registers/halves.js";
import { checkTargetReal, setCodeReal } from "../../segments/far.js";
import { returnFar } from "../../segments/return-far.js";
import { segment8086 } from "../../segments/virtual-8086.js";
import { returnToTask } from "../../tasks/task-switch.js";
import { FAULT, iopl8086, JUMP, NEXT, suppressed, vetoed } from "../common.js";
import { writableFlags } from "../data/stack.js";

const value: Halves = { lo: 0, hi: 0 };
const rip: Halves = { lo: 0, hi: 0 };

/** NMIs are let in by an IRET that faults, too (SDM vol. 3, "Information About NMI Unblocking Due to IRET"). */
const iret: Helper = (vcpu, site) => {
  const outcome = leaveHandler(vcpu, site);
  if (vcpu.nmiBlocked && !vcpu.leaving) {
    vcpu.nmiBlocked = false;
    vcpu.interrupt();
  }
  return outcome;
};

const leaveHandler: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  if (!iopl8086(vcpu)) return FAULT;
  if (vcpu.protectedMode && vcpu.flags & S.NT) {
    const returned = vcpu.efer & EFER_LMA ? vcpu.raiseError(Vector.GP, 0) : returnToTask(vcpu, vcpu.ripLo + insn.len);
    return returned ? resumed(vcpu) : FAULT;
  }
  // From the flags down (recorded from hardware).
  if (!peekStack(vcpu, 2 * size, size, value)) return FAULT;
  const image = value.lo;
  if (!peekStack(vcpu, size, size, value) || !peekStack(vcpu, 0, size, rip)) return FAULT;
  const selector = value.lo & 0xffff;
  if (image & S.VM && size === 4 && vcpu.protectedMode && vcpu.cpl === 0 && !(vcpu.efer & EFER_LMA)) {
    return enter8086(vcpu, rip, selector, image) ? resumed(vcpu) : FAULT;
  }
  const mask = writableFlags(vcpu, size);
  const flags = (vcpu.rflags & ~mask) | (image & mask);
  const popped = 3 * size;
  if (!vcpu.protectedMode) {
    if (!checkTargetReal(vcpu, rip)) return FAULT;
    adjustStack(vcpu, popped);
    setCodeReal(vcpu, selector);
    vcpu.setRip(rip.lo, 0);
  } else if (!returnFar(vcpu, { selector, rip, size, popped, release: 0, alwaysStack: vcpu.mode === 64 })) return FAULT;
  vcpu.rflags = flags;
  return resumed(vcpu);
};

/** IRETD of level 0 that pops VM: into virtual-8086 mode (SDM vol. 2, IRET). */
function enter8086(vcpu: VcpuContext, rip: Halves, cs: number, popped: number): boolean {
  const outer: number[] = [];
  for (let k = 3; k < 9; k++) {
    if (!peekStack(vcpu, 4 * k, 4, value)) return false;
    outer.push(value.lo);
  }
  if (rip.lo >>> 0 > 0xffff) return vcpu.raiseError(Vector.GP, 0);
  const mask = writableFlags(vcpu, 4) | S.VM;
  vcpu.rflags = (vcpu.rflags & ~mask) | (popped & mask);
  const [sp, ss, es, ds, fs, gs] = outer as [number, number, number, number, number, number];
  [es, cs, ss, ds, fs, gs].forEach((selector, seg) => {
    vcpu.setSegment(seg, segment8086(selector & 0xffff));
  });
  vcpu.setReg(4, sp, 0);
  vcpu.setRip(rip.lo, 0);
  return true;
}

/** What every IRET ends with: RF as loaded holds for one instruction, IF and AC may have changed. */
function resumed(vcpu: VcpuContext): number {
  vcpu.keepRf = (vcpu.flags & S.RF) !== 0;
  vcpu.flagsChanged();
  return JUMP;
}

/** A software interrupt: the return address is the next instruction. */
function software(vcpu: VcpuContext, vector: number, length: number, kind: Pending["kind"] = "software"): number {
  const at: readonly [number, number] = [vcpu.ripLo, vcpu.ripHi];
  add64(value, vcpu.ripLo, vcpu.ripHi, length, 0);
  vcpu.ripLo = value.lo;
  vcpu.ripHi = vcpu.mode === 64 ? value.hi : 0;
  return vcpu.deliverSoftware({ vector, errorCode: null, kind }, at) ? JUMP : FAULT;
}

const int: Helper = (vcpu, { insn }) => (iopl8086(vcpu) ? software(vcpu, insn.immLo & 0xff, insn.len) : FAULT);
const int3: Helper = (vcpu, { insn }) => {
  if (vetoed(vcpu, vcpu.hooks.breakpoint?.())) return suppressed(vcpu);
  return software(vcpu, Vector.BP, insn.len);
};
/** INT1 asks no gate for its DPL, and takes debug exceptions with it that waited for the end of a MOV SS. */
const int1: Helper = (vcpu, { insn }) => {
  vcpu.takeDebugTraps();
  return software(vcpu, Vector.DB, insn.len, "exception");
};
const into: Helper = (vcpu, { insn }) => (vcpu.rflags & S.OF ? software(vcpu, Vector.OF, insn.len) : NEXT);

export const INTERRUPT_HELPERS: Readonly<Record<string, Helper>> = { iret, int, int3, int1, into };

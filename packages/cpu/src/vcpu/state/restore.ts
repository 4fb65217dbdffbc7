import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import type { Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import type { StateParts } from "./architectural-state.js";
import { checkActivity, checkMsrs } from "./check-events.js";
import { checkRegisters } from "./check-registers.js";
import { checkSegments } from "./check-segments.js";
import { DEBUG_REGISTERS, FPR_BYTES, FPR_STRIDE } from "./save.js";
import { readShape } from "./shape.js";
import type { EventState, SegmentState, TableState, VcpuState, Word64 } from "./vcpu-state.js";

/**
 * What `value` says, if a vCPU with these ports can be so: what a VM entry would refuse (SDM vol. 3, 26.3.1) is refused, as far as instructions
 * here do not lead there themselves. They lead to CS with L and D set and to a 16-bit TSS in IA-32e mode, and privilege is that of CS alone.
 * @throws {VcpuStateError} if it cannot
 */
export function checkedState(value: unknown, vcpu: VcpuContext): VcpuState {
  const state = readShape(value);
  checkRegisters(state, vcpu.ports);
  checkSegments(state, vcpu.ports);
  checkActivity(state);
  checkMsrs(state, vcpu);
  return state;
}

const halvesOf = ({ lo, hi }: Word64): Halves => ({ lo: lo | 0, hi: hi | 0 });

const segmentOf = ({ selector, base, limit, attributes }: SegmentState): SegmentCache => ({
  selector,
  baseLo: base.lo | 0,
  baseHi: base.hi | 0,
  limit,
  attributes,
});
const tableOf = ({ base, limit }: TableState) => ({ baseLo: base.lo | 0, baseHi: base.hi | 0, limit });

const pendingOf = ({ vector, errorCode, kind, generalDetect, cr2 }: EventState): Pending => ({
  vector,
  errorCode,
  kind,
  ...(generalDetect ? { generalDetect } : {}),
  ...(cr2 === null ? {} : { cr2Lo: cr2.lo | 0, cr2Hi: cr2.hi | 0 }),
});

/** Makes a vCPU that is not running what `state`, checked, says. What is derived is worked out anew, TLBs are empty. */
export function restoreState(state: VcpuState, { vcpu, events, interrupts, loop }: StateParts): void {
  // The whole block is as if nothing had run, and stays so where nothing is loaded.
  vcpu.reset();
  loadControl(state, vcpu);
  loadSegments(state, vcpu);
  loadFloat(state, vcpu);
  for (const [r, { lo, hi }] of state.general.entries()) vcpu.setReg(r, lo | 0, hi | 0);
  vcpu.setRip(state.rip.lo | 0, state.rip.hi | 0);
  vcpu.loadRip();
  vcpu.singleStep = state.singleStep;
  vcpu.activity = state.activity;
  vcpu.shadow = state.shadow !== "none";
  vcpu.keepRf = false;
  vcpu.nmiBlocked = state.nmiBlocked;
  events.restore(state.event === null ? null : pendingOf(state.event), state.debugTraps, state.shadow === "mov-ss");
  interrupts.restore(state.nmiPending, state.wakeMasked);
  loop.restore(state.retired);
}

function loadControl(state: VcpuState, vcpu: VcpuContext): void {
  const { paging } = vcpu;
  vcpu.cr0 = state.cr0 | 0;
  vcpu.cr2Lo = state.cr2.lo | 0;
  vcpu.cr2Hi = state.cr2.hi | 0;
  vcpu.cr4 = state.cr4 | 0;
  vcpu.efer = state.efer;
  vcpu.xcr0 = state.xcr0 | 0;
  paging.cr3Lo = state.cr3.lo | 0;
  paging.cr3Hi = state.cr3.hi | 0;
  paging.pkru = state.pkru | 0;
  paging.view = state.view;
  DEBUG_REGISTERS.forEach((n, k) => {
    const { lo, hi } = state.debug[k] as Word64;
    vcpu.dr[2 * n] = lo | 0;
    vcpu.dr[2 * n + 1] = hi | 0;
  });
  for (const { number, value } of state.msrs) vcpu.setMsr(number, value.lo | 0, value.hi | 0);
  Object.assign(vcpu.tscOffset, halvesOf(state.tscOffset));
  Object.assign(vcpu.tscAdjust, halvesOf(state.tscAdjust));
  vcpu.rflags = state.rflags;
  vcpu.updatePaging();
  vcpu.debugRegistersChanged();
}

/** After control registers and flags: what segments let through depends on them. */
function loadSegments(state: VcpuState, vcpu: VcpuContext): void {
  Object.assign(vcpu.gdtr, tableOf(state.gdtr));
  Object.assign(vcpu.idtr, tableOf(state.idtr));
  vcpu.ldtr = segmentOf(state.ldtr);
  vcpu.tr = segmentOf(state.tr);
  for (const [seg, held] of state.segments.entries()) vcpu.setSegment(seg, segmentOf(held));
  vcpu.updateMode();
}

function loadFloat(state: VcpuState, vcpu: VcpuContext): void {
  vcpu.setU16(S.FCW, state.fcw);
  vcpu.setU16(S.FSW, state.fsw);
  vcpu.setU8(S.FTW, state.ftw);
  for (let k = 0; k < 8; k++)
    vcpu.bytes(S.FPR + FPR_STRIDE * k, FPR_BYTES).set(state.fpr.subarray(FPR_BYTES * k, FPR_BYTES * (k + 1)));
  vcpu.setI32(S.MXCSR, state.mxcsr);
  vcpu.xmm.set(state.xmm);
}

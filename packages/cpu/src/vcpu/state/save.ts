import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import { Seg } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import type { TableRegister } from "../registers/registers.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { keptMsrs } from "../system-registers/msr.js";
import type { StateParts } from "./architectural-state.js";
import type { EventState, SegmentState, TableState, VcpuState, Word64 } from "./vcpu-state.js";

/** Bytes of an x87 register, and from one to the next in the state block. */
export const FPR_BYTES = 10;
export const FPR_STRIDE = 16;
/** Registers of `Vcpu.dr` that exist: DR0-DR3, DR6, DR7. */
export const DEBUG_REGISTERS: readonly number[] = [0, 1, 2, 3, 6, 7];

const wordOf = (lo: number, hi: number): Word64 => ({ lo: lo >>> 0, hi: hi >>> 0 });
const halves = ({ lo, hi }: Halves): Word64 => wordOf(lo, hi);

const segmentOf = ({ selector, baseLo, baseHi, limit, attributes }: SegmentCache): SegmentState => ({
  selector,
  base: wordOf(baseLo, baseHi),
  limit: limit >>> 0,
  attributes,
});
const tableOf = ({ baseLo, baseHi, limit }: TableRegister): TableState => ({ base: wordOf(baseLo, baseHi), limit });

/** RIP from where execution continues, which outside 64-bit code is a linear address. */
function ripOf(vcpu: VcpuContext): Word64 {
  const lo = vcpu.i32(S.PC);
  if (vcpu.mode === 64) return wordOf(lo, vcpu.i32(S.PC + 4));
  return wordOf(lo - (vcpu.segments[Seg.CS] as SegmentCache).baseLo, 0);
}

function fprOf(vcpu: VcpuContext): Uint8Array {
  const bytes = new Uint8Array(8 * FPR_BYTES);
  for (let k = 0; k < 8; k++) bytes.set(vcpu.bytes(S.FPR + FPR_STRIDE * k, FPR_BYTES), FPR_BYTES * k);
  return bytes;
}

const eventOf = ({ vector, errorCode, kind, generalDetect = false, cr2Lo, cr2Hi }: Pending): EventState => ({
  vector,
  errorCode: errorCode === null ? null : errorCode >>> 0,
  kind,
  generalDetect,
  cr2: cr2Lo === undefined || cr2Hi === undefined ? null : wordOf(cr2Lo, cr2Hi),
});

/** The state of a vCPU that is not running. */
export function saveState({ vcpu, events, interrupts, loop }: StateParts): VcpuState {
  const { paging, dr, segments } = vcpu;
  return {
    version: 1,
    general: Array.from({ length: 16 }, (_, r) => wordOf(vcpu.regLo(r), vcpu.regHi(r))),
    rip: ripOf(vcpu),
    rflags: vcpu.rflags >>> 0,
    segments: segments.map(segmentOf),
    ldtr: segmentOf(vcpu.ldtr),
    tr: segmentOf(vcpu.tr),
    gdtr: tableOf(vcpu.gdtr),
    idtr: tableOf(vcpu.idtr),
    cr0: vcpu.cr0 >>> 0,
    cr2: wordOf(vcpu.cr2Lo, vcpu.cr2Hi),
    cr3: wordOf(paging.cr3Lo, paging.cr3Hi),
    cr4: vcpu.cr4 >>> 0,
    xcr0: vcpu.xcr0 >>> 0,
    pkru: paging.pkru >>> 0,
    view: paging.view ?? 0,
    debug: DEBUG_REGISTERS.map((n) => wordOf(dr[2 * n] as number, dr[2 * n + 1] as number)),
    fcw: vcpu.u16(S.FCW),
    fsw: vcpu.u16(S.FSW),
    ftw: vcpu.u8(S.FTW),
    fpr: fprOf(vcpu),
    mxcsr: vcpu.i32(S.MXCSR) >>> 0,
    xmm: new Uint8Array(vcpu.xmm),
    efer: vcpu.efer >>> 0,
    msrs: keptMsrs(vcpu).map(([number, lo, hi]) => ({ number, value: wordOf(lo, hi) })),
    tscOffset: halves(vcpu.tscOffset),
    tscAdjust: halves(vcpu.tscAdjust),
    activity: vcpu.activity,
    wakeMasked: interrupts.wakeMasked,
    shadow: vcpu.shadow ? (events.stackShadow ? "mov-ss" : "sti") : "none",
    nmiPending: interrupts.nmiPending,
    nmiBlocked: vcpu.nmiBlocked,
    event: events.pending === null ? null : eventOf(events.pending),
    debugTraps: events.debugTraps,
    retired: loop.retired,
    singleStep: vcpu.singleStep,
  };
}

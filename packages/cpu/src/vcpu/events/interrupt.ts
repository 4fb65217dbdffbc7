import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import { CR0_PE, EFER_LMA, Seg, Vector } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { u64 } from "../registers/u64.js";
import { StackFrame } from "../segments/stack-frame.js";
import { clearFlags, duringDelivery } from "./event.js";
import { enterLong } from "./interrupt-long.js";
import { enterProtected } from "./interrupt-protected.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** Contributory exceptions (SDM vol. 3, table 6-4). */
const isContributory = (v: number): boolean => v === Vector.DE || (v >= Vector.TS && v <= Vector.GP);
/** Exceptions of the class of page faults. */
const isPageFault = (v: number): boolean => v === Vector.PF || v === Vector.VE;
const isSerious = (v: number): boolean => isPageFault(v) || isContributory(v);

/**
 * Delivers `event`; exceptions on the way, also in a task that was switched to, become a double fault as SDM vol. 3, table 6-5 says.
 * Benign ones are left pending: the trap of a task switch, an alignment check of the handler's stack.
 * @param at where a fault during a software interrupt returns to: the instruction itself
 * @returns false for a triple fault
 */
export function deliver(vcpu: VcpuContext, event: Pending, at?: readonly [number, number]): boolean {
  let current = event;
  /** Where the instruction that asks for the event starts, while it has not been left behind. */
  let start = at;
  for (;;) {
    const { tr } = vcpu;
    const faultsPage = current.vector === Vector.PF && current.kind === "exception";
    const { cr2Lo = vcpu.cr2Lo, cr2Hi = vcpu.cr2Hi } = current;
    const { vector, errorCode, kind } = current;
    const verdict = vcpu.hooks.inject?.(vector, errorCode, kind, faultsPage ? u64(cr2Lo, cr2Hi) : null);
    if (vcpu.leaving) {
      if (start === undefined) vcpu.redeliver(current);
      else [vcpu.ripLo, vcpu.ripHi] = start;
      return true;
    }
    if (verdict === false) {
      drop(vcpu, current, start !== undefined && current === event);
      return true;
    }
    if (faultsPage) [vcpu.cr2Lo, vcpu.cr2Hi] = [cr2Lo, cr2Hi];
    if (enter(vcpu, current)) {
      // A debug handler may use the debug registers (SDM vol. 3, 17.2.4, GD).
      if (current.vector === Vector.DB) vcpu.dr[14] = (vcpu.dr[14] as number) & ~0x2000;
      return true;
    }
    const switched = vcpu.tr !== tr;
    if (switched) {
      vcpu.loadRip();
      start = undefined;
    } else if (start !== undefined) [vcpu.ripLo, vcpu.ripHi] = start;
    if (vcpu.leaving) {
      // A watched page was touched on the way. Nothing but memory has changed.
      vcpu.forget();
      if (start === undefined && !switched) vcpu.redeliver(current);
      return true;
    }
    const next = duringDelivery(current, vcpu.pending as Pending);
    vcpu.forget();
    if (!isSerious(next.vector)) {
      vcpu.redeliver(next);
      return true;
    }
    if (current.vector === Vector.DF && current.kind === "exception") return false;
    const first = current.kind === "exception" ? current.vector : -1;
    const double =
      (isContributory(first) && isContributory(next.vector)) || (isPageFault(first) && isSerious(next.vector));
    current = double ? { vector: Vector.DF, errorCode: 0, kind: "exception" } : next;
  }
}

/** An observer vetoed `event`: execution goes on as if it had not been, behind the instruction that asked for it if one did. */
function drop(vcpu: VcpuContext, { vector, kind }: Pending, byInstruction: boolean): void {
  if (byInstruction) vcpu.setRip(vcpu.ripLo, vcpu.ripHi);
  // No IRET will end what has not begun.
  if (vector === Vector.NMI && kind === "interrupt") vcpu.nmiBlocked = false;
}

function enter(vcpu: VcpuContext, event: Pending): boolean {
  if (!(vcpu.cr0 & CR0_PE)) return enterReal(vcpu, event);
  return vcpu.efer & EFER_LMA ? enterLong(vcpu, event) : enterProtected(vcpu, event);
}

/** Real mode: the vector table at IDTR.base (SDM vol. 3, 20.1.4). */
function enterReal(vcpu: VcpuContext, event: Pending): boolean {
  const { linear, idtr } = vcpu;
  const offset = event.vector * 4;
  if (offset + 3 > idtr.limit) return vcpu.raiseError(Vector.GP, 0);
  if (!linear.readSystem((idtr.baseLo + offset) | 0, 0, 4, found)) return false;
  const target = found.lo;
  const cs = vcpu.segments[Seg.CS] as SegmentCache;
  const stack = StackFrame.current(vcpu);
  const frame = [vcpu.rflags, cs.selector, vcpu.ripLo];
  if (!stack.checkRoom(frame.length, 2, 0) || !stack.push(2, frame)) return false;
  vcpu.setReg(4, stack.sp, 0);
  const selector = target >>> 16;
  vcpu.setSegment(Seg.CS, { ...cs, selector, baseLo: selector << 4 });
  vcpu.setI32(S.FLAGS, vcpu.flags & ~S.AC);
  clearFlags(vcpu, true);
  vcpu.updateMode();
  vcpu.setRip(target & 0xffff, 0);
  return true;
}

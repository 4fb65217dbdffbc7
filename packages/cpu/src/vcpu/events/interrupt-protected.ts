import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import { ATTR_CONFORMING, Seg, Vector } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { checkTarget } from "../segments/far.js";
import { innerStack } from "../segments/inner-stack.js";
import {
  attributesOfDescriptor,
  checkCode,
  dpl,
  installCode,
  readDescriptor,
  segmentOf,
  unusable,
} from "../segments/segments.js";
import { StackFrame } from "../segments/stack-frame.js";
import { enterTask, TASK_GATE } from "../tasks/task-switch.js";
import { clearFlags, idtError, pushedFlags } from "./event.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** Interrupt and trap gates: types 6, 7 of 16 bits, 0xe, 0xf of 32 (SDM vol. 3, table 3-2). */
const GATE_TYPES: readonly number[] = [6, 7, 0xe, 0xf];
/** Data segment registers in the order in which leaving virtual-8086 mode pushes them. */
const PUSHED_8086: readonly Seg[] = [Seg.GS, Seg.FS, Seg.DS, Seg.ES];

/**
 * Enters the handler of `event` in protected and virtual-8086 mode: SDM vol. 3, 6.12 and 20.3.1; vol. 2, INT n.
 * False with an exception or exit pending and only memory changed, unless a task was switched to.
 */
export function enterProtected(vcpu: VcpuContext, event: Pending): boolean {
  const { idtr, linear, cpl } = vcpu;
  const offset = event.vector * 8;
  if (offset + 7 > idtr.limit) return vcpu.raiseError(Vector.GP, idtError(event));
  if (!linear.readSystem((idtr.baseLo + offset) | 0, 0, 8, found)) return false;
  const { lo, hi } = found;
  const type = (hi >>> 8) & 0x1f;
  if (!GATE_TYPES.includes(type) && type !== TASK_GATE) return vcpu.raiseError(Vector.GP, idtError(event));
  if (event.kind === "software" && ((hi >>> 13) & 3) < cpl) return vcpu.raiseError(Vector.GP, idtError(event));
  if (!(hi & 0x8000)) return vcpu.raiseError(Vector.NP, idtError(event));
  const selector = lo >>> 16;
  if (type === TASK_GATE) return enterTask(vcpu, selector, pushedFlags(vcpu, event), event.errorCode);
  const error = selector & 0xfffc;
  if (error === 0) return vcpu.raiseError(Vector.GP, 0);
  const d = readDescriptor(vcpu, selector);
  if (d === null) return false;
  const attributes = attributesOfDescriptor(d);
  const newCpl = attributes & ATTR_CONFORMING ? cpl : dpl(attributes);
  if (newCpl > cpl) return vcpu.raiseError(Vector.GP, error);
  if (!checkCode(vcpu, selector, d, newCpl)) return false;
  const from8086 = (vcpu.flags & S.VM) !== 0;
  if (from8086 && newCpl !== 0) return vcpu.raiseError(Vector.GP, error);
  const inner = newCpl < cpl ? innerStack(vcpu, newCpl) : undefined;
  if (inner === null) return false;

  const size = type & 8 ? 4 : 2;
  const held = (seg: Seg): number => (vcpu.segments[seg] as SegmentCache).selector;
  const frame = [
    ...(from8086 ? PUSHED_8086.map(held) : []),
    ...(inner ? [held(Seg.SS), vcpu.regLo(4)] : []),
    pushedFlags(vcpu, event),
    held(Seg.CS),
    vcpu.ripLo,
    ...(event.errorCode === null ? [] : [event.errorCode]),
  ];
  const stack = inner
    ? new StackFrame(vcpu, segmentOf(inner.selector, inner.descriptor), inner.sp, newCpl)
    : StackFrame.current(vcpu);
  if (!stack.checkRoom(frame.length, size, inner ? inner.selector & 0xfffc : 0)) return false;
  const target = { lo: size === 4 ? (lo & 0xffff) | (hi & 0xffff0000) : lo & 0xffff, hi: 0 };
  if (!checkTarget(vcpu, target, d) || !stack.push(size, frame)) return false;
  if (!installCode(vcpu, selector, d, newCpl, inner)) return false;
  vcpu.setReg(4, stack.sp, 0);
  if (from8086) for (const seg of PUSHED_8086) vcpu.setSegment(seg, unusable(0));
  clearFlags(vcpu, (type & 1) === 0);
  vcpu.updateMode();
  vcpu.setRip(target.lo, 0);
  return true;
}

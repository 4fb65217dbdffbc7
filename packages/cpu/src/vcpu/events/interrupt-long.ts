import type { VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import { ATTR_CONFORMING, ATTR_DB, ATTR_L, Seg, Vector } from "../registers/constants.js";
import { add64, type Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { checkTarget } from "../segments/far.js";
import { innerStackLong, istField, rspField } from "../segments/inner-stack.js";
import { attributesOfDescriptor, checkCode, dpl, installCode, readDescriptor } from "../segments/segments.js";
import { LongFrame } from "../segments/stack-frame.js";
import { clearFlags, idtError, pushedFlags } from "./event.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const at: Halves = { lo: 0, hi: 0 };
const target: Halves = { lo: 0, hi: 0 };
const sp: Halves = { lo: 0, hi: 0 };
const frame = new LongFrame();

/** Enters the handler of `event` in IA-32e mode: SDM vol. 3, 6.14. False with an exception or exit pending and only memory changed. */
export function enterLong(vcpu: VcpuContext, event: Pending): boolean {
  const { idtr, linear, cpl } = vcpu;
  const offset = event.vector * 16;
  if (offset + 15 > idtr.limit) return vcpu.raiseError(Vector.GP, idtError(event));
  add64(at, idtr.baseLo, idtr.baseHi, offset, 0);
  if (!linear.readSystem(at.lo, at.hi, 8, found)) return false;
  const { lo, hi } = found;
  add64(at, at.lo, at.hi, 8, 0);
  if (!linear.readSystem(at.lo, at.hi, 8, found)) return false;
  target.lo = (lo & 0xffff) | (hi & 0xffff0000);
  target.hi = found.lo;
  const type = (hi >>> 8) & 0x1f;
  if (type !== 0x0e && type !== 0x0f) return vcpu.raiseError(Vector.GP, idtError(event));
  if (event.kind === "software" && ((hi >>> 13) & 3) < cpl) return vcpu.raiseError(Vector.GP, idtError(event));
  if (!(hi & 0x8000)) return vcpu.raiseError(Vector.NP, idtError(event));
  const selector = lo >>> 16;
  const error = selector & 0xfffc;
  if (error === 0) return vcpu.raiseError(Vector.GP, 0);
  const d = readDescriptor(vcpu, selector);
  if (d === null) return false;
  const attributes = attributesOfDescriptor(d);
  const newCpl = attributes & ATTR_CONFORMING ? cpl : dpl(attributes);
  if (newCpl > cpl || (attributes & (ATTR_L | ATTR_DB)) !== ATTR_L) return vcpu.raiseError(Vector.GP, error);
  if (!checkCode(vcpu, selector, d, newCpl)) return false;
  const ist = hi & 7;
  sp.lo = vcpu.regLo(4);
  sp.hi = vcpu.regHi(4);
  if (ist !== 0 || newCpl < cpl) {
    if (!innerStackLong(vcpu, ist !== 0 ? istField(ist) : rspField(newCpl), sp)) return false;
  }
  sp.lo &= ~15;
  frame
    .clear()
    .add((vcpu.segments[Seg.SS] as SegmentCache).selector, 0)
    .add(vcpu.regLo(4), vcpu.regHi(4))
    .add(pushedFlags(vcpu, event), 0)
    .add((vcpu.segments[Seg.CS] as SegmentCache).selector, 0)
    .add(vcpu.ripLo, vcpu.ripHi);
  if (event.errorCode !== null) frame.add(event.errorCode, 0);
  if (!checkTarget(vcpu, target, d) || !frame.push(vcpu, sp, newCpl)) return false;
  if (!installCode(vcpu, selector, d, newCpl, newCpl < cpl ? null : undefined)) return false;
  vcpu.setReg(4, sp.lo, sp.hi);
  clearFlags(vcpu, type === 0x0e);
  vcpu.setRip(target.lo, target.hi);
  return true;
}

import type { VcpuContext } from "../context/context.js";
import { canonical } from "../registers/canonical.js";
import { ATTR_L, EFER_LMA, Seg, Vector } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { attributesOfDescriptor, type Descriptor, limitOf } from "./segments.js";

/** #GP(0) for an instruction pointer that is not canonical in 64-bit code or beyond the limit of other code. */
function checkPointer(vcpu: VcpuContext, rip: Halves, limit: number, attributes: number): boolean {
  const long = (vcpu.efer & EFER_LMA) !== 0 && (attributes & ATTR_L) !== 0;
  const valid = long ? canonical(vcpu, rip.hi) : rip.lo >>> 0 <= limit;
  return valid || vcpu.raiseError(Vector.GP, 0);
}

/** #GP(0) unless code of descriptor `d` may start at `rip`. */
export const checkTarget = (vcpu: VcpuContext, rip: Halves, d: Descriptor): boolean =>
  checkPointer(vcpu, rip, limitOf(d), attributesOfDescriptor(d));

/** The same without a descriptor: real and virtual-8086 mode keep the limit of CS. */
export function checkTargetReal(vcpu: VcpuContext, rip: Halves): boolean {
  const { limit, attributes } = vcpu.segments[Seg.CS] as SegmentCache;
  return checkPointer(vcpu, rip, limit, attributes);
}

/** CS as real and virtual-8086 mode load it: limit and attributes stay. */
export function setCodeReal(vcpu: VcpuContext, selector: number): void {
  const cs = vcpu.segments[Seg.CS] as SegmentCache;
  vcpu.setSegment(Seg.CS, { ...cs, selector, baseLo: selector << 4, baseHi: 0 });
}

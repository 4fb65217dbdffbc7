import type { VcpuContext } from "../context/context.js";
import { adjustStack, peekStack, setStackPointer } from "../memory/operands.js";
import { ATTR_L, ATTR_P, Seg, Vector } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { checkTarget } from "./far.js";
import { attributesOfDescriptor, checkCode, dpl, installCode, readDescriptor, type StackSegment } from "./segments.js";

/** What a far return has popped, and what it takes with it. */
export interface FarReturn {
  readonly selector: number;
  readonly rip: Halves;
  /** Operand size in bytes. */
  readonly size: number;
  /** Bytes above the stack pointer, behind what was popped. */
  readonly popped: number;
  /** Bytes of parameters to release, on both stacks. */
  readonly release: number;
  /** IRET of 64-bit code pops a stack at the same level too. */
  readonly alwaysStack: boolean;
}

const sp: Halves = { lo: 0, hi: 0 };
const ss: Halves = { lo: 0, hi: 0 };

/** RET and IRET in protected mode, to the same or an outer level: SDM vol. 2. False with an exception pending and nothing changed. */
export function returnFar(
  vcpu: VcpuContext,
  { selector, rip, size, popped, release, alwaysStack }: FarReturn,
): boolean {
  const { cpl } = vcpu;
  const rpl = selector & 3;
  if ((selector & 0xfffc) === 0) return vcpu.raiseError(Vector.GP, 0);
  const d = readDescriptor(vcpu, selector);
  if (d === null) return false;
  if (rpl < cpl) return vcpu.raiseError(Vector.GP, selector & 0xfffc);
  if (!checkCode(vcpu, selector, d, rpl)) return false;
  if (rpl === cpl && !alwaysStack) {
    if (!checkTarget(vcpu, rip, d) || !installCode(vcpu, selector, d, rpl)) return false;
    adjustStack(vcpu, popped + release);
    vcpu.setRip(rip.lo, rip.hi);
    return true;
  }
  if (!peekStack(vcpu, popped + release, size, sp)) return false;
  if (!peekStack(vcpu, popped + release + size, size, ss)) return false;
  ss.lo &= 0xffff;
  const mayBeNull = vcpu.mode === 64 && (attributesOfDescriptor(d) & ATTR_L) !== 0 && rpl < 3 && ss.lo === rpl;
  const stack = mayBeNull ? null : outerStack(vcpu, ss.lo, rpl);
  if (stack === undefined || !checkTarget(vcpu, rip, d) || !installCode(vcpu, selector, d, rpl, stack)) return false;
  setStackPointer(vcpu, sp);
  if (release > 0) adjustStack(vcpu, release);
  if (rpl > cpl) dropInnerSegments(vcpu, rpl);
  vcpu.setRip(rip.lo, rip.hi);
  return true;
}

/** The stack segment that a return to level `rpl` popped; undefined with #GP, #SS or a page fault pending. */
function outerStack(vcpu: VcpuContext, selector: number, rpl: number): StackSegment | undefined {
  const error = selector & 0xfffc;
  if (error === 0) return vcpu.raiseError(Vector.GP, 0) || undefined;
  const descriptor = readDescriptor(vcpu, selector);
  if (descriptor === null) return undefined;
  const attributes = attributesOfDescriptor(descriptor);
  // Data (S = 1, not code) that is writable.
  if ((selector & 3) !== rpl || (attributes & 0x1a) !== 0x12 || dpl(attributes) !== rpl) {
    return vcpu.raiseError(Vector.GP, error) || undefined;
  }
  if (!(attributes & ATTR_P)) return vcpu.raiseError(Vector.SS, error) || undefined;
  return { selector, descriptor };
}

const DATA_SEGMENTS: readonly Seg[] = [Seg.ES, Seg.DS, Seg.FS, Seg.GS];

/** Data segments of a more privileged level become null on a return to an outer one (SDM vol. 2, RET). */
function dropInnerSegments(vcpu: VcpuContext, cpl: number): void {
  for (const seg of DATA_SEGMENTS) {
    const held = vcpu.segments[seg] as SegmentCache;
    const conforming = (held.attributes & 0x0c) === 0x0c;
    if ((held.selector & 0xfffc) !== 0 && dpl(held.attributes) < cpl && !conforming) {
      // What else the hidden part holds stays.
      vcpu.setSegment(seg, { ...held, selector: 0, attributes: 0 });
    }
  }
}

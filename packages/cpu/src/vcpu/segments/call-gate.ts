import type { VcpuContext } from "../context/context.js";
import { peekStack } from "../memory/operands.js";
import { ATTR_CONFORMING, ATTR_DB, ATTR_L, ATTR_P, EFER_LMA, Seg, Vector } from "../registers/constants.js";
import { add64, type Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { checkTarget } from "./far.js";
import { innerStack, innerStackLong, rspField } from "./inner-stack.js";
import {
  attributesOfDescriptor,
  checkCode,
  type Descriptor,
  dpl,
  installCode,
  readDescriptor,
  segmentOf,
} from "./segments.js";
import { LongFrame, StackFrame } from "./stack-frame.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** Types of call gates: of 16 bits, and of 32 bits or, in IA-32e mode, 64 (SDM vol. 3, table 3-2). */
export const CALL_GATE_16 = 4;
export const CALL_GATE = 0xc;

/** Where a call gate leads: SDM vol. 3, 5.8.3 and 5.8.3.1. */
interface Entry {
  readonly selector: number;
  readonly rip: Halves;
  /** Bytes of each value pushed. */
  readonly size: 2 | 4 | 8;
  /** Values of that size copied to an inner stack. */
  readonly parameters: number;
}

function readEntry(vcpu: VcpuContext, gateSelector: number, { lo, hi, atLo, atHi }: Descriptor): Entry | null {
  const selector = lo >>> 16;
  const wide = (lo & 0xffff) | (hi & 0xffff0000);
  if (!(vcpu.efer & EFER_LMA)) {
    const short = ((hi >>> 8) & 0x1f) === CALL_GATE_16;
    const rip = { lo: short ? lo & 0xffff : wide, hi: 0 };
    return { selector, rip, size: short ? 2 : 4, parameters: hi & 31 };
  }
  const { limit } = gateSelector & 4 ? vcpu.ldtr : vcpu.gdtr;
  const error = gateSelector & 0xfffc;
  if ((gateSelector & 0xfff8) + 15 > limit) return vcpu.raiseError(Vector.GP, error) || null;
  const upper: Halves = { lo: 0, hi: 0 };
  add64(upper, atLo, atHi, 8, 0);
  if (!vcpu.linear.readSystem(upper.lo, upper.hi, 8, found)) return null;
  if (found.hi & 0x1f00) return vcpu.raiseError(Vector.GP, error) || null;
  return { selector, rip: { lo: wide, hi: found.lo }, size: 8, parameters: 0 };
}

/**
 * CALL or JMP through the call gate `gate`: SDM vol. 2, CALL and JMP.
 * @param back return address, for CALL; null for JMP
 * @returns false with an exception or exit pending and only memory changed
 */
export function throughCallGate(
  vcpu: VcpuContext,
  gateSelector: number,
  gate: Descriptor,
  back: Halves | null,
): boolean {
  const { cpl } = vcpu;
  const gateAttributes = attributesOfDescriptor(gate);
  const level = dpl(gateAttributes);
  const gateError = gateSelector & 0xfffc;
  if (level < cpl || level < (gateSelector & 3)) return vcpu.raiseError(Vector.GP, gateError);
  if (!(gateAttributes & ATTR_P)) return vcpu.raiseError(Vector.NP, gateError);
  const entry = readEntry(vcpu, gateSelector, gate);
  if (entry === null) return false;
  const error = entry.selector & 0xfffc;
  if (error === 0) return vcpu.raiseError(Vector.GP, 0);
  const code = readDescriptor(vcpu, entry.selector);
  if (code === null) return false;
  const attributes = attributesOfDescriptor(code);
  const newCpl = back === null || attributes & ATTR_CONFORMING ? cpl : dpl(attributes);
  if (newCpl > cpl) return vcpu.raiseError(Vector.GP, error);
  if (entry.size === 8 && (attributes & (ATTR_L | ATTR_DB)) !== ATTR_L) return vcpu.raiseError(Vector.GP, error);
  if (!checkCode(vcpu, entry.selector, code, newCpl)) return false;
  const entered =
    back === null
      ? checkTarget(vcpu, entry.rip, code) && installCode(vcpu, entry.selector, code, cpl)
      : entry.size === 8
        ? callLong(vcpu, entry, code, newCpl, back)
        : callProtected(vcpu, entry, code, newCpl, back);
  if (entered) vcpu.setRip(entry.rip.lo, entry.rip.hi);
  return entered;
}

/** Gates of 16 and 32 bits: more privilege brings the TSS's stack and the caller's parameters. */
function callProtected(vcpu: VcpuContext, entry: Entry, code: Descriptor, newCpl: number, back: Halves): boolean {
  const { size } = entry;
  const cs = (vcpu.segments[Seg.CS] as SegmentCache).selector;
  const inner = newCpl < vcpu.cpl ? innerStack(vcpu, newCpl) : undefined;
  if (inner === null) return false;
  const values = [cs, back.lo];
  let stack = StackFrame.current(vcpu);
  if (inner) {
    stack = new StackFrame(vcpu, segmentOf(inner.selector, inner.descriptor), inner.sp, newCpl);
    const parameter: Halves = { lo: 0, hi: 0 };
    for (let k = 0; k < entry.parameters; k++) {
      if (!peekStack(vcpu, k * size, size, parameter)) return false;
      values.unshift(parameter.lo);
    }
    values.unshift((vcpu.segments[Seg.SS] as SegmentCache).selector, vcpu.regLo(4));
  }
  if (!stack.checkRoom(values.length, size, inner ? inner.selector & 0xfffc : 0)) return false;
  if (!checkTarget(vcpu, entry.rip, code) || !stack.push(size, values)) return false;
  if (!installCode(vcpu, entry.selector, code, newCpl, inner)) return false;
  vcpu.setReg(4, stack.sp, 0);
  return true;
}

/** Gates of IA-32e mode: more privilege brings RSP0-RSP2 and a null SS. */
function callLong(vcpu: VcpuContext, entry: Entry, code: Descriptor, newCpl: number, back: Halves): boolean {
  const inner = newCpl < vcpu.cpl;
  const old: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
  const sp: Halves = { lo: old[0], hi: old[1] };
  if (inner && !innerStackLong(vcpu, rspField(newCpl), sp)) return false;
  const frame = new LongFrame();
  if (inner) frame.add((vcpu.segments[Seg.SS] as SegmentCache).selector, 0).add(...old);
  frame.add((vcpu.segments[Seg.CS] as SegmentCache).selector, 0).add(back.lo, back.hi);
  if (!checkTarget(vcpu, entry.rip, code) || !frame.push(vcpu, sp, newCpl)) return false;
  if (!installCode(vcpu, entry.selector, code, newCpl, inner ? null : undefined)) return false;
  vcpu.setReg(4, sp.lo, sp.hi);
  return true;
}

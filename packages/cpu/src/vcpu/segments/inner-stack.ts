import type { VcpuContext } from "../context/context.js";
import { ATTR_CODE, ATTR_P, ATTR_S, ATTR_WRITABLE, Vector } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import { attributesOfDescriptor, dpl, readDescriptor, type StackSegment } from "./segments.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** The stack that a TSS of 16 or 32 bits holds for a privilege level. */
export interface InnerStack extends StackSegment {
  readonly sp: number;
}

/** Type bit that tells a 32-bit TSS from a 16-bit one. */
export const TSS_WIDE = 8;

/**
 * The stack of level `cpl` from the current TSS, outside IA-32e mode: SDM vol. 3, 5.8.5 and 6.12.1; vol. 2, CALL and INT n.
 * @returns null with #TS, #SS or a page fault pending
 */
export function innerStack(vcpu: VcpuContext, cpl: number): InnerStack | null {
  const { tr, linear } = vcpu;
  const size = tr.attributes & TSS_WIDE ? 4 : 2;
  const field = size + 2 * size * cpl;
  if (field + size + 1 > tr.limit) return vcpu.raiseError(Vector.TS, tr.selector & 0xfffc) || null;
  if (!linear.readSystem((tr.baseLo + field) | 0, 0, size, found)) return null;
  const sp = found.lo;
  if (!linear.readSystem((tr.baseLo + field + size) | 0, 0, 2, found)) return null;
  const selector = found.lo;
  const error = selector & 0xfffc;
  if (error === 0) return vcpu.raiseError(Vector.TS, 0) || null;
  const descriptor = readDescriptor(vcpu, selector, Vector.TS);
  if (descriptor === null) return null;
  const attributes = attributesOfDescriptor(descriptor);
  const writableData = (attributes & (ATTR_S | ATTR_CODE | ATTR_WRITABLE)) === (ATTR_S | ATTR_WRITABLE);
  if ((selector & 3) !== cpl || dpl(attributes) !== cpl || !writableData) {
    return vcpu.raiseError(Vector.TS, error) || null;
  }
  if (!(attributes & ATTR_P)) return vcpu.raiseError(Vector.SS, error) || null;
  return { selector, descriptor, sp };
}

/**
 * Reads the stack pointer at byte `field` of the 64-bit TSS into `out`: RSP0-RSP2 and IST1-IST7 (SDM vol. 3, 7.7).
 * @returns false with #TS or a page fault pending
 */
export function innerStackLong(vcpu: VcpuContext, field: number, out: Halves): boolean {
  const { tr, linear } = vcpu;
  if (field + 7 > tr.limit) return vcpu.raiseError(Vector.TS, tr.selector & 0xfffc);
  const at = (tr.baseLo + field) | 0;
  return linear.readSystem(at, at >>> 0 < tr.baseLo >>> 0 ? tr.baseHi + 1 : tr.baseHi, 8, out);
}
/** Field of RSP`cpl`. */
export const rspField = (cpl: number): number => 4 + 8 * cpl;
/** Field of IST`index`, from 1. */
export const istField = (index: number): number => 0x24 + 8 * (index - 1);

import { Access } from "../../ports.js";
import type { VcpuContext } from "../context/context.js";
import { add64, type Halves } from "../registers/halves.js";

const at: Halves = { lo: 0, hi: 0 };

/**
 * Checks the page of the byte `offset` bytes into a state area at `from` without reading or writing it: the processor looks at one byte
 * far into an area before it starts at the beginning, and that is the address a fault names (recorded from hardware).
 */
export function touch(vcpu: VcpuContext, { lo, hi }: Readonly<Halves>, offset: number, write: boolean): boolean {
  add64(at, lo, hi, offset, 0);
  if (vcpu.mode !== 64) at.hi = 0;
  return vcpu.linear.probe(at.lo, at.hi, vcpu.accessMode | (write ? Access.Write : 0));
}

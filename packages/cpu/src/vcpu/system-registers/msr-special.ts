import type { VcpuContext } from "../context/context.js";
import { EFER_LMA, EFER_LME, type Seg } from "../registers/constants.js";
import { add64, type Halves } from "../registers/halves.js";
import { rebased, type SegmentCache } from "../registers/segment-cache.js";

/** A memory type of the MTRRs: 2, 3 and 7 are reserved (SDM vol. 3, table 12-8). */
export const memoryType = (type: number): boolean => type < 7 && type !== 2 && type !== 3;

/** Every byte of IA32_PAT is a memory type: 2 and 3 are reserved, and all from 8 (SDM vol. 3, table 12-10). */
export function patTypes(lo: number, hi: number): boolean {
  for (const half of [lo, hi]) {
    for (let k = 0; k < 32; k += 8) {
      const type = (half >>> k) & 0xff;
      if (type > 7 || type === 2 || type === 3) return false;
    }
  }
  return true;
}

/** A bank is on or off: all ones or all zeros. */
export const machineCheckControl = (lo: number, hi: number): boolean => lo === hi && (lo === 0 || lo === -1);

export const readTsc = (vcpu: VcpuContext, out: Halves): void => vcpu.tsc(out);

/** The TSC, and IA32_TSC_ADJUST with it, moves on by as much as `to` is ahead of `from` (SDM vol. 3, 18.17.3). */
function moveTsc({ tscOffset, tscAdjust, ports }: VcpuContext, to: Readonly<Halves>, from: Readonly<Halves>): true {
  const by: Halves = { lo: 0, hi: 0 };
  // -x is ~x + 1.
  add64(by, ~from.lo, ~from.hi, 1, 0);
  add64(by, by.lo, by.hi, to.lo, to.hi);
  for (const moved of [tscOffset, tscAdjust]) add64(moved, moved.lo, moved.hi, by.lo, by.hi);
  ports.apic.tscChanged?.();
  return true;
}

export function writeTsc(vcpu: VcpuContext, lo: number, hi: number): true {
  const now: Halves = { lo: 0, hi: 0 };
  vcpu.tsc(now);
  return moveTsc(vcpu, { lo, hi }, now);
}

export function readTscAdjust({ tscAdjust }: VcpuContext, out: Halves): void {
  Object.assign(out, tscAdjust);
}

export const writeTscAdjust = (vcpu: VcpuContext, lo: number, hi: number): true =>
  moveTsc(vcpu, { lo, hi }, vcpu.tscAdjust);

/** LME cannot change while paging is on; LMA stays as it is. */
export function writeEfer(vcpu: VcpuContext, lo: number): boolean {
  if (((lo ^ vcpu.efer) & EFER_LME) !== 0 && vcpu.pagingEnabled) return false;
  vcpu.efer = (lo & ~EFER_LMA) | (vcpu.efer & EFER_LMA);
  vcpu.updatePaging();
  return true;
}

export const readSegmentBase =
  (seg: Seg) =>
  (vcpu: VcpuContext, out: Halves): void => {
    const { baseLo, baseHi } = vcpu.segments[seg] as SegmentCache;
    out.lo = baseLo;
    out.hi = baseHi;
  };

export const writeSegmentBase =
  (seg: Seg) =>
  (vcpu: VcpuContext, lo: number, hi: number): true => {
    vcpu.setSegment(seg, rebased(vcpu.segments[seg] as SegmentCache, lo, hi));
    return true;
  };

import { EFER_LMA, EFER_LME, type Seg } from "./constants.js";
import type { Halves } from "./operands.js";
import type { SegmentCache } from "./segments.js";
import type { Vcpu } from "./vcpu.js";

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

export function readTsc(vcpu: Vcpu, out: Halves): void {
  const tsc = vcpu.tsc();
  [out.lo, out.hi] = [(tsc % 0x100000000) | 0, Math.floor(tsc / 0x100000000) | 0];
}

/** A write to the TSC moves IA32_TSC_ADJUST by as much (SDM vol. 3, 18.17.3). */
export function writeTsc(vcpu: Vcpu, lo: number, hi: number): true {
  const delta = (hi >>> 0) * 0x100000000 + (lo >>> 0) - vcpu.tsc();
  vcpu.tscOffset += delta;
  const adjust = vcpu.tscAdjust[1] * 0x100000000 + (vcpu.tscAdjust[0] >>> 0) + delta;
  vcpu.tscAdjust[0] = (adjust % 0x100000000) | 0;
  vcpu.tscAdjust[1] = Math.floor(adjust / 0x100000000) | 0;
  return true;
}

export function readTscAdjust(vcpu: Vcpu, out: Halves): void {
  [out.lo, out.hi] = vcpu.tscAdjust;
}

export function writeTscAdjust(vcpu: Vcpu, lo: number, hi: number): true {
  const old = vcpu.tscAdjust[1] * 0x100000000 + (vcpu.tscAdjust[0] >>> 0);
  vcpu.tscOffset += hi * 0x100000000 + (lo >>> 0) - old;
  vcpu.tscAdjust[0] = lo;
  vcpu.tscAdjust[1] = hi;
  return true;
}

/** LME cannot change while paging is on; LMA stays as it is. */
export function writeEfer(vcpu: Vcpu, lo: number): boolean {
  if (((lo ^ vcpu.efer) & EFER_LME) !== 0 && vcpu.pagingEnabled) return false;
  vcpu.efer = (lo & ~EFER_LMA) | (vcpu.efer & EFER_LMA);
  vcpu.updatePaging();
  return true;
}

export const readSegmentBase =
  (seg: Seg) =>
  (vcpu: Vcpu, out: Halves): void => {
    const { baseLo, baseHi } = vcpu.segments[seg] as SegmentCache;
    [out.lo, out.hi] = [baseLo, baseHi];
  };

export const writeSegmentBase =
  (seg: Seg) =>
  (vcpu: Vcpu, lo: number, hi: number): true => {
    vcpu.setSegment(seg, { ...(vcpu.segments[seg] as SegmentCache), baseLo: lo, baseHi: hi });
    return true;
  };

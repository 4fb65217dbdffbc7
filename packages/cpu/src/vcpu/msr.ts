import { EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE, MSR, Seg } from "./constants.js";
import type { Halves } from "./operands.js";
import type { SegmentCache } from "./segments.js";
import type { Vcpu } from "./vcpu.js";

const canonical = (hi: number): boolean => hi >> 15 === hi >> 31;

/** MSRs that are stored as written; value: whether the value must be a canonical address. */
const STORED: ReadonlyMap<number, boolean> = new Map([
  [MSR.SYSENTER_CS, false],
  [MSR.SYSENTER_ESP, true],
  [MSR.SYSENTER_EIP, true],
  [MSR.STAR, false],
  [MSR.LSTAR, true],
  [MSR.CSTAR, true],
  [MSR.SFMASK, false],
  [MSR.KERNEL_GS_BASE, true],
  [MSR.TSC_AUX, false],
  [MSR.DEBUGCTL, false],
]);

/** MSRs that read as a constant and cannot be written: [lo, hi]. */
const CONSTANT: ReadonlyMap<number, readonly [number, number]> = new Map([
  // Locked, nothing enabled.
  [MSR.FEATURE_CONTROL, [1, 0]],
  [MSR.MTRR_CAP, [0, 0]],
  // RDCL IBRS_ALL SKIP_L1DFL SSB MDS PSCHANGE TAA SBDR FBSDP PSDP BHI PBRSB GDS RFDS ITS: an interpreter does not speculate, so the
  // guest need not defend itself (SDM vol. 4, table 2-2, IA32_ARCH_CAPABILITIES).
  [MSR.ARCH_CAPABILITIES, [0x0d10e17b, 0x40000000]],
]);

/** Power-on value of IA32_PAT (SDM vol. 3, table 12-12). */
const PAT_RESET: readonly [number, number] = [0x00070406, 0x00070406];
/** Fast strings. */
const MISC_ENABLE: readonly [number, number] = [1, 0];

/** RDMSR. False = #GP(0). */
export function readMsr(vcpu: Vcpu, msr: number, out: Halves): boolean {
  const set = (pair: readonly [number, number]): true => {
    [out.lo, out.hi] = pair;
    return true;
  };
  const constant = CONSTANT.get(msr);
  if (constant !== undefined) return set(constant);
  if (STORED.has(msr)) return set(vcpu.msr(msr));
  switch (msr) {
    case MSR.TSC: {
      const tsc = vcpu.tsc();
      return set([(tsc % 0x100000000) | 0, (tsc / 0x100000000) | 0]);
    }
    case MSR.TSC_ADJUST:
      return set(vcpu.tscAdjust);
    case MSR.EFER:
      return set([vcpu.efer, 0]);
    case MSR.FS_BASE:
    case MSR.GS_BASE: {
      const { baseLo, baseHi } = vcpu.segments[msr === MSR.FS_BASE ? Seg.FS : Seg.GS] as SegmentCache;
      return set([baseLo, baseHi]);
    }
    case MSR.PAT:
      return set(vcpu.msrs.get(msr) ?? PAT_RESET);
    case MSR.MISC_ENABLE:
      return set(vcpu.msrs.get(msr) ?? MISC_ENABLE);
    case MSR.SPEC_CTRL:
    case MSR.BIOS_SIGN_ID:
      return set(vcpu.msr(msr));
    default: {
      const { apic } = vcpu.ports;
      return apic.readMsr(msr) && set([apic.msrLo, apic.msrHi]);
    }
  }
}

/** WRMSR. False = #GP(0), with nothing changed. */
export function writeMsr(vcpu: Vcpu, msr: number, lo: number, hi: number): boolean {
  const address = STORED.get(msr);
  if (address !== undefined) {
    if (address && !canonical(hi)) return false;
    if (msr === MSR.TSC_AUX && hi !== 0) return false;
    vcpu.msrs.set(msr, [lo, hi]);
    return true;
  }
  switch (msr) {
    case MSR.TSC: {
      const wanted = (hi >>> 0) * 0x100000000 + (lo >>> 0);
      adjustTsc(vcpu, wanted - vcpu.tsc());
      return true;
    }
    case MSR.TSC_ADJUST: {
      const old = vcpu.tscAdjust[1] * 0x100000000 + (vcpu.tscAdjust[0] >>> 0);
      vcpu.tscOffset += hi * 0x100000000 + (lo >>> 0) - old;
      vcpu.tscAdjust[0] = lo;
      vcpu.tscAdjust[1] = hi;
      return true;
    }
    case MSR.EFER: {
      const offered = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
      if (hi !== 0 || lo & ~offered) return false;
      // LME cannot change while paging is on; LMA is the processor's.
      if (((lo ^ vcpu.efer) & EFER_LME) !== 0 && vcpu.pagingEnabled) return false;
      vcpu.efer = (lo & ~EFER_LMA) | (vcpu.efer & EFER_LMA);
      vcpu.updatePaging();
      return true;
    }
    case MSR.FS_BASE:
    case MSR.GS_BASE: {
      if (!canonical(hi)) return false;
      const seg = msr === MSR.FS_BASE ? Seg.FS : Seg.GS;
      vcpu.setSegment(seg, { ...(vcpu.segments[seg] as SegmentCache), baseLo: lo, baseHi: hi });
      return true;
    }
    case MSR.PAT:
      for (const half of [lo, hi]) {
        for (let k = 0; k < 32; k += 8) {
          const type = (half >>> k) & 0xff;
          if (type > 7 || type === 2 || type === 3) return false;
        }
      }
      vcpu.msrs.set(msr, [lo, hi]);
      return true;
    case MSR.MISC_ENABLE:
      vcpu.msrs.set(msr, [lo, hi]);
      return true;
    case MSR.SPEC_CTRL:
      // IBRS, STIBP, SSBD: there is no speculation to control.
      if (hi !== 0 || lo & ~7) return false;
      vcpu.msrs.set(msr, [lo, hi]);
      return true;
    case MSR.PRED_CMD:
      return hi === 0 && (lo & ~1) === 0;
    case MSR.BIOS_SIGN_ID:
      // Written before CPUID to ask for the microcode revision: there is none.
      return true;
    default:
      return vcpu.ports.apic.writeMsr(msr, lo, hi);
  }
}

/** A write to the TSC moves IA32_TSC_ADJUST by as much (SDM vol. 3, 18.17.3). */
function adjustTsc(vcpu: Vcpu, delta: number): void {
  vcpu.tscOffset += delta;
  const adjust = vcpu.tscAdjust[1] * 0x100000000 + (vcpu.tscAdjust[0] >>> 0) + delta;
  vcpu.tscAdjust[0] = (adjust % 0x100000000) | 0;
  vcpu.tscAdjust[1] = Math.floor(adjust / 0x100000000) | 0;
}

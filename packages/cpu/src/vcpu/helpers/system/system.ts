import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { effectiveAddress, namedAddress } from "../../memory/operands.js";
import { canonicalAtWidest } from "../../registers/canonical.js";
import {
  CR4_FSGSBASE,
  CR4_OSXSAVE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PKE,
  CR4_TSD,
  Seg,
  Vector,
} from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { rebased, type SegmentCache } from "../../registers/segment-cache.js";
import { u64 } from "../../registers/u64.js";
import { readMsr, writeMsr } from "../../system-registers/msr.js";
import {
  done,
  FAULT,
  instead,
  NEXT,
  privileged,
  skip,
  skipped,
  suppressed,
  undefinedOpcode,
  vetoed,
} from "../common.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const value: Halves = { lo: 0, hi: 0 };

/** Bytes of the XSAVE area for what XCR0 enables: the end of the last component (SDM vol. 1, 13.2). */
function xsaveSize(vcpu: VcpuContext): number {
  let end = 576;
  for (let component = 2; component < 32; component++) {
    if (!((vcpu.xcr0 >>> component) & 1)) continue;
    const { eax: size, ebx: offset } = vcpu.ports.cpuid.query(0xd, component);
    end = Math.max(end, offset + size);
  }
  return end;
}

const cpuid: Helper = (vcpu) => {
  vcpu.counts.cpuid++;
  const leaf = vcpu.regLo(0) >>> 0;
  const subleaf = vcpu.regLo(1) >>> 0;
  if (vetoed(vcpu, vcpu.hooks.cpuid?.(leaf, subleaf))) return suppressed(vcpu);
  const { eax, ebx, ecx, edx } = vcpu.ports.cpuid.query(leaf, subleaf);
  const osxsave = leaf === 1 && vcpu.cr4 & CR4_OSXSAVE ? 1 << 27 : 0;
  const ospke = leaf === 7 && subleaf === 0 && vcpu.cr4 & CR4_PKE ? 1 << 4 : 0;
  const apicId = leaf === 1 ? vcpu.id << 24 : 0;
  vcpu.setReg(0, eax, 0);
  vcpu.setReg(3, leaf === 0xd && subleaf < 2 ? xsaveSize(vcpu) : ebx | apicId, 0);
  vcpu.setReg(1, ecx | osxsave | ospke, 0);
  vcpu.setReg(2, leaf === 0xb || leaf === 0x1f ? vcpu.id : edx, 0);
  return NEXT;
};

const rdmsr: Helper = (vcpu) => {
  if (!privileged(vcpu)) return FAULT;
  vcpu.counts.msr++;
  const number = vcpu.regLo(1) >>> 0;
  if (vetoed(vcpu, vcpu.hooks.msrRead?.(number))) return suppressed(vcpu);
  if (!readMsr(vcpu, number, value)) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.setReg(0, value.lo, 0);
  vcpu.setReg(2, value.hi, 0);
  return NEXT;
};

const wrmsr: Helper = (vcpu) => {
  if (!privileged(vcpu)) return FAULT;
  vcpu.counts.msr++;
  const number = vcpu.regLo(1) >>> 0;
  const [lo, hi] = [vcpu.regLo(0), vcpu.regLo(2)];
  if (vetoed(vcpu, vcpu.hooks.msrWrite?.(number, u64(lo, hi)))) return suppressed(vcpu);
  return done(writeMsr(vcpu, number, lo, hi) || vcpu.raiseError(Vector.GP, 0));
};

/** CR4.TSD keeps the time-stamp counter from programs. */
export const tscForbidden = (vcpu: VcpuContext): boolean => (vcpu.cr4 & CR4_TSD) !== 0 && vcpu.cpl > 0;

const rdtsc: Helper = (vcpu) => {
  if (tscForbidden(vcpu)) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.tsc(value);
  vcpu.setReg(0, value.lo, 0);
  vcpu.setReg(2, value.hi, 0);
  return NEXT;
};

const rdtscp: Helper = (vcpu, site) => {
  const result = rdtsc(vcpu, site);
  if (result === NEXT) vcpu.setReg(1, vcpu.msr(0xc0000103)[0], 0);
  return result;
};

/** RDPMC: no performance counter is offered, so no index is valid unless an observer has one. */
const rdpmc: Helper = (vcpu) => {
  const allowed = vcpu.cpl === 0 || (vcpu.cr4 & CR4_PCE) !== 0;
  const handled = allowed && vcpu.hooks.rdpmc?.(vcpu.regLo(1) >>> 0) === true;
  if (instead(vcpu)) return FAULT;
  return handled ? NEXT : done(vcpu.raiseError(Vector.GP, 0));
};

const rdpid: Helper = (vcpu, { insn }) => {
  vcpu.setReg(insn.operands[0].reg, vcpu.msr(0xc0000103)[0], 0);
  return NEXT;
};

const hlt: Helper = (vcpu, { insn }) => {
  if (!privileged(vcpu)) return FAULT;
  vcpu.counts.hlt++;
  if (vetoed(vcpu, vcpu.hooks.hlt?.())) return skipped(vcpu, insn);
  vcpu.halt();
  return skip(vcpu, insn);
};

const swapgs: Helper = (vcpu) => {
  if (vcpu.mode !== 64) return undefinedOpcode(vcpu);
  if (!privileged(vcpu)) return FAULT;
  const gs = vcpu.segments[Seg.GS] as SegmentCache;
  const kernel = vcpu.msr(0xc0000102);
  const swapped = rebased(gs, kernel[0], kernel[1]);
  vcpu.setMsr(0xc0000102, gs.baseLo, gs.baseHi);
  vcpu.setSegment(Seg.GS, swapped);
  return NEXT;
};

const setAc =
  (on: boolean): Helper =>
  (vcpu) => {
    if (vcpu.cpl !== 0) return undefinedOpcode(vcpu);
    vcpu.setI32(S.FLAGS, on ? vcpu.flags | S.AC : vcpu.flags & ~S.AC);
    vcpu.updateAccess();
    return NEXT;
  };

const fsgsbase =
  (seg: Seg, write: boolean): Helper =>
  (vcpu, { insn }) => {
    if (!(vcpu.cr4 & CR4_FSGSBASE) || vcpu.mode !== 64) return undefinedOpcode(vcpu);
    const { reg, size } = insn.operands[0];
    const cache = vcpu.segments[seg] as SegmentCache;
    if (!write) {
      vcpu.setReg(reg, cache.baseLo, size === 8 ? cache.baseHi : 0);
      return NEXT;
    }
    const lo = vcpu.regLo(reg);
    const hi = size === 8 ? vcpu.regHi(reg) : 0;
    if (!canonicalAtWidest(vcpu, hi)) return done(vcpu.raiseError(Vector.GP, 0));
    vcpu.setSegment(seg, rebased(cache, lo, hi));
    return NEXT;
  };

/** The page that executes may be mapped elsewhere by now: branches within it do not ask. */
function refetch(vcpu: VcpuContext): void {
  const known = vcpu.tlb.entryValue(vcpu.tlbBases.tlb[2], vcpu.i32(S.PC), vcpu.i32(S.PC + 4)) !== 0;
  if (!known) vcpu.endSlice();
}

const invlpg: Helper = (vcpu, { insn }) => {
  if (!privileged(vcpu)) return FAULT;
  namedAddress(vcpu, insn, value);
  vcpu.tlb.flushPage(value.lo, value.hi);
  refetch(vcpu);
  return NEXT;
};

/** INVPCID: TLBs are not tagged, so every type forgets everything. Descriptor checks of SDM vol. 2, INVPCID. */
const invpcid: Helper = (vcpu, { insn }) => {
  if (!((vcpu.ports.cpuid.query(7, 0).ebx >>> 10) & 1)) return undefinedOpcode(vcpu);
  if (!privileged(vcpu)) return FAULT;
  const { reg } = insn.operands[0];
  const type = vcpu.mode === 64 && vcpu.regHi(reg) !== 0 ? -1 : vcpu.regLo(reg);
  if (!effectiveAddress(vcpu, insn, value, 16, false)) return FAULT;
  const { lo, hi } = value;
  if (!vcpu.linear.read(lo, hi, 8, found)) return FAULT;
  const reserved = found.lo >>> 12 !== 0 || found.hi !== 0;
  if (type < 0 || type > 3 || (type < 2 && (reserved || (!(vcpu.cr4 & CR4_PCIDE) && (found.lo & 0xfff) !== 0)))) {
    return done(vcpu.raiseError(Vector.GP, 0));
  }
  if (type === 0) {
    if (!vcpu.linear.read(lo + 8, hi, 8, found)) return FAULT;
    // An address to invalidate must be one.
    if (!canonicalAtWidest(vcpu, found.hi)) return done(vcpu.raiseError(Vector.GP, 0));
  }
  vcpu.tlb.flush();
  refetch(vcpu);
  return NEXT;
};

/** There are no caches: what flushes them or throws them away does nothing. */
const cacheControl =
  (hook: "wbinvd" | "invd"): Helper =>
  (vcpu) => {
    if (!privileged(vcpu)) return FAULT;
    return vetoed(vcpu, vcpu.hooks[hook]?.()) ? suppressed(vcpu) : NEXT;
  };

/** An instruction that only an observer can execute: its answer is `handled`. */
function byObserver(vcpu: VcpuContext, handled: boolean | undefined): number {
  if (instead(vcpu)) return FAULT;
  return handled === true ? NEXT : undefinedOpcode(vcpu);
}

const vmcall: Helper = (vcpu) => {
  vcpu.counts.hypercall++;
  return byObserver(vcpu, vcpu.hooks.hypercall?.());
};

const tdcall: Helper = (vcpu) => {
  vcpu.counts.hypercall++;
  return byObserver(vcpu, vcpu.hooks.tdcall?.());
};

/** At CPL > 0 they are #UD whoever observes (SDM vol. 2, MONITOR, MWAIT). */
const waiting =
  (hook: "monitor" | "mwait"): Helper =>
  (vcpu) =>
    byObserver(vcpu, vcpu.cpl === 0 && vcpu.hooks[hook]?.());

const toolong: Helper = (vcpu) => done(vcpu.raiseError(Vector.GP, 0));

export const SYSTEM_HELPERS: Readonly<Record<string, Helper>> = {
  cpuid,
  rdmsr,
  wrmsr,
  rdtsc,
  rdtscp,
  rdpid,
  rdpmc,
  hlt,
  swapgs,
  stac: setAc(true),
  clac: setAc(false),
  rdfsbase: fsgsbase(Seg.FS, false),
  rdgsbase: fsgsbase(Seg.GS, false),
  wrfsbase: fsgsbase(Seg.FS, true),
  wrgsbase: fsgsbase(Seg.GS, true),
  invlpg,
  invpcid,
  wbinvd: cacheControl("wbinvd"),
  invd: cacheControl("invd"),
  monitor: waiting("monitor"),
  mwait: waiting("mwait"),
  vmcall,
  tdcall,
  toolong,
};

import { Kind } from "../../../decode/index.js";
import type { CpuidResult } from "../../../ports.js";
import { type Halves, readOperand, writeOperand } from "../../memory/operands.js";
import {
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR4_DE,
  CR4_FSGSBASE,
  CR4_LA57,
  CR4_MCE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PSE,
  CR4_PVI,
  CR4_SMAP,
  CR4_SMEP,
  CR4_TSD,
  CR4_UMIP,
  CR4_VME,
  EFER_LMA,
  EFER_LME,
  Seg,
  Vector,
} from "../../registers/constants.js";
import { loadSegment, type SegmentCache } from "../../segments/segments.js";
import type { Helper, Vcpu } from "../../vcpu.js";
import { done, FAULT, NEXT, privileged, suppressed, umip, undefinedOpcode } from "../common.js";

const value: Halves = { lo: 0, hi: 0 };

/** Bits of CR0 that exist. */
const CR0_MASK = 0xe005003f | 0;

function writeCr0(vcpu: Vcpu, lo: number, hi: number): boolean {
  const next = (lo & CR0_MASK) | 0x10;
  if (hi !== 0 || (next & CR0_PG && !(next & CR0_PE)) || ((next & 0x20000000) !== 0 && !(next & 0x40000000))) {
    return vcpu.raiseError(Vector.GP, 0);
  }
  const enabling = (next & CR0_PG) !== 0 && !(vcpu.cr0 & CR0_PG);
  if (enabling && vcpu.efer & EFER_LME && !(vcpu.cr4 & CR4_PAE)) return vcpu.raiseError(Vector.GP, 0);
  if (!(next & CR0_PG) && vcpu.cr0 & CR0_PG && (vcpu.mode === 64 || vcpu.cr4 & CR4_PCIDE))
    return vcpu.raiseError(Vector.GP, 0);
  vcpu.cr0 = next;
  if (vcpu.efer & EFER_LME) vcpu.efer = next & CR0_PG ? vcpu.efer | EFER_LMA : vcpu.efer & ~EFER_LMA;
  vcpu.updatePaging();
  vcpu.updateMode();
  return true;
}

/** Bits of CR4 and the CPUID bits that offer them: leaf, register, bit (SDM vol. 3, 2.5). */
const CR4_FEATURES: readonly (readonly [number, number, keyof CpuidResult, number])[] = [
  [CR4_VME | CR4_PVI, 1, "edx", 1],
  [CR4_DE, 1, "edx", 2],
  [CR4_PSE, 1, "edx", 3],
  [CR4_TSD, 1, "edx", 4],
  [CR4_PAE, 1, "edx", 6],
  [CR4_MCE, 1, "edx", 7],
  [CR4_PGE, 1, "edx", 13],
  [CR4_OSFXSR, 1, "edx", 24],
  [CR4_OSXMMEXCPT, 1, "edx", 25],
  [CR4_PCIDE, 1, "ecx", 17],
  [CR4_OSXSAVE, 1, "ecx", 26],
  [CR4_FSGSBASE, 7, "ebx", 0],
  [CR4_SMEP, 7, "ebx", 7],
  [CR4_SMAP, 7, "ebx", 20],
  [CR4_UMIP, 7, "ecx", 2],
  [CR4_PKE, 7, "ecx", 3],
  [CR4_LA57, 7, "ecx", 16],
];

/** Bits of CR4 that may be set on this processor. */
function cr4Offered(vcpu: Vcpu): number {
  let offered = CR4_PCE;
  for (const [bits, leaf, register, bit] of CR4_FEATURES) {
    if ((vcpu.ports.cpuid.query(leaf, 0)[register] >>> bit) & 1) offered |= bits;
  }
  return offered;
}

function writeCr4(vcpu: Vcpu, lo: number, hi: number): boolean {
  const pcideOn = lo & CR4_PCIDE && !(vcpu.cr4 & CR4_PCIDE);
  if (
    hi !== 0 ||
    lo & ~cr4Offered(vcpu) ||
    (vcpu.efer & EFER_LMA && (!(lo & CR4_PAE) || (lo ^ vcpu.cr4) & CR4_LA57)) ||
    (pcideOn && (!(vcpu.efer & EFER_LMA) || (vcpu.paging.cr3Lo & 0xfff) !== 0))
  ) {
    return vcpu.raiseError(Vector.GP, 0);
  }
  vcpu.cr4 = lo;
  vcpu.updatePaging();
  vcpu.debugRegistersChanged();
  vcpu.updateAccess();
  return true;
}

function writeCr3(vcpu: Vcpu, lo: number, hi: number): boolean {
  const pcid = (vcpu.cr4 & CR4_PCIDE) !== 0;
  const reserved = vcpu.efer & EFER_LMA ? hi & (pcid ? 0x7fffff00 : 0xffffff00) : 0;
  if (reserved !== 0) return vcpu.raiseError(Vector.GP, 0);
  vcpu.paging.cr3Lo = lo;
  vcpu.paging.cr3Hi = hi & 0x7fffffff;
  vcpu.tlb.flush(false);
  return true;
}

/** MOV to CR0, CR3 or CR4 with everything that follows from it. False with #GP(0) pending and nothing changed. */
export function writeControlRegister(vcpu: Vcpu, register: 0 | 3 | 4, lo: number, hi: number): boolean {
  const write = register === 0 ? writeCr0 : register === 3 ? writeCr3 : writeCr4;
  if (!write(vcpu, lo, hi)) return false;
  // Translation, and with it the mapping of the code that runs, may have changed.
  vcpu.endSlice();
  return true;
}

const movControl: Helper = (vcpu, { insn }) => {
  const [to, from] = insn.operands;
  if (!privileged(vcpu)) return FAULT;
  if (to.kind === Kind.Cr) {
    const lo = vcpu.regLo(from.reg);
    const hi = vcpu.mode === 64 ? vcpu.regHi(from.reg) : 0;
    const r = to.reg as 0 | 2 | 3 | 4 | 8;
    if (r !== 2 && vcpu.hooks.controlRegister && !vcpu.hooks.controlRegister(r, lo, hi)) return suppressed(vcpu);
    if (r === 2) {
      vcpu.cr2Lo = lo;
      vcpu.cr2Hi = hi;
    } else if (r === 8) {
      if (hi !== 0 || lo & ~15) return done(vcpu.raiseError(Vector.GP, 0));
      vcpu.ports.apic.cr8 = lo;
      if (vcpu.ports.apic.hasInterrupt()) vcpu.interrupt();
    } else return done(writeControlRegister(vcpu, r, lo, hi));
    return NEXT;
  }
  const [lo, hi] = readControl(vcpu, from.reg);
  vcpu.setReg(to.reg, lo, vcpu.mode === 64 ? hi : 0);
  return NEXT;
};

function readControl(vcpu: Vcpu, r: number): readonly [number, number] {
  switch (r) {
    case 0:
      return [vcpu.cr0, 0];
    case 2:
      return [vcpu.cr2Lo, vcpu.cr2Hi];
    case 3:
      return [vcpu.paging.cr3Lo, vcpu.paging.cr3Hi];
    case 4:
      return [vcpu.cr4, 0];
    default:
      return [vcpu.ports.apic.cr8, 0];
  }
}

/** General detect: DR7 and DR6. */
const DR7_GD = 0x2000;
const DR6_BD = 0x2000;

/** MOV DR: DR4/5 alias DR6/7 unless CR4.DE; reserved bits of DR6/DR7 read as hardware has them. */
const movDebug: Helper = (vcpu, { insn }) => {
  const [to, from] = insn.operands;
  const write = to.kind === Kind.Dr;
  let r = write ? to.reg : from.reg;
  if (r === 4 || r === 5) {
    if (vcpu.cr4 & CR4_DE) return undefinedOpcode(vcpu);
    r += 2;
  }
  if (!privileged(vcpu)) return FAULT;
  if ((vcpu.dr[14] as number) & DR7_GD) return done(vcpu.raiseDebugFault(DR6_BD));
  if (!write) {
    vcpu.setReg(to.reg, vcpu.dr[2 * r] as number, vcpu.mode === 64 ? (vcpu.dr[2 * r + 1] as number) : 0);
    return NEXT;
  }
  const lo = vcpu.regLo(from.reg);
  const hi = vcpu.mode === 64 ? vcpu.regHi(from.reg) : 0;
  if (r >= 6 && hi !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.dr[2 * r] = r === 6 ? (lo & 0xe00f) | 0xffff0ff0 : r === 7 ? (lo & 0xffff2bff) | 0x400 : lo;
  vcpu.dr[2 * r + 1] = hi;
  vcpu.debugRegistersChanged();
  // The page that executes may have a breakpoint now.
  vcpu.endSlice();
  return NEXT;
};

/** MOV from and to segment registers, control and debug registers. */
const mov: Helper = (vcpu, site) => {
  const { insn } = site;
  const [to, from] = insn.operands;
  if (to.kind === Kind.Cr || from.kind === Kind.Cr) return movControl(vcpu, site);
  if (to.kind === Kind.Dr || from.kind === Kind.Dr) return movDebug(vcpu, site);
  if (to.kind === Kind.Seg) {
    if (!readOperand(vcpu, insn, 1, value)) return FAULT;
    if (!loadSegment(vcpu, to.reg, value.lo & 0xffff)) return FAULT;
    if (to.reg === Seg.SS) vcpu.holdInterrupts();
    return NEXT;
  }
  const { selector } = vcpu.segments[from.reg] as SegmentCache;
  return done(writeOperand(vcpu, insn, 0, selector, 0));
};

const clts: Helper = (vcpu) => {
  if (!privileged(vcpu)) return FAULT;
  const next = vcpu.cr0 & ~CR0_TS;
  if (vcpu.hooks.controlRegister && !vcpu.hooks.controlRegister(0, next, 0)) return suppressed(vcpu);
  vcpu.cr0 = next;
  vcpu.paging.cr0 = vcpu.cr0;
  vcpu.updateUnits();
  return NEXT;
};

const smsw: Helper = (vcpu, { insn }) => (umip(vcpu) ? done(writeOperand(vcpu, insn, 0, vcpu.cr0, 0)) : FAULT);

const lmsw: Helper = (vcpu, { insn }) => {
  if (!privileged(vcpu) || !readOperand(vcpu, insn, 0, value)) return FAULT;
  // PE can be set, not cleared.
  const next = (vcpu.cr0 & ~0xe) | (value.lo & 0xf);
  if (vcpu.hooks.controlRegister && !vcpu.hooks.controlRegister(0, next, 0)) return suppressed(vcpu);
  return done(writeControlRegister(vcpu, 0, next, 0));
};

export const CONTROL_REGISTER_HELPERS: Readonly<Record<string, Helper>> = { mov, clts, smsw, lmsw };

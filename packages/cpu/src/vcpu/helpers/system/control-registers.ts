import { Kind } from "../../../decode/index.js";
import type { Helper } from "../../context/helper.js";
import { readOperand, writeOperand } from "../../memory/operands.js";
import { CR0_TS, CR4_DE, Seg, Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import type { SegmentCache } from "../../registers/segment-cache.js";
import { u64 } from "../../registers/u64.js";
import { loadSegment } from "../../segments/segments.js";
import { readControlRegister, writeControlRegister } from "../../system-registers/control-registers.js";
import { done, FAULT, NEXT, privileged, suppressed, umip, undefinedOpcode, vetoed } from "../common.js";

const value: Halves = { lo: 0, hi: 0 };

const movControl: Helper = (vcpu, { insn }) => {
  const [to, from] = insn.operands;
  if (!privileged(vcpu)) return FAULT;
  if (to.kind === Kind.Cr) {
    const lo = vcpu.regLo(from.reg);
    const hi = vcpu.mode === 64 ? vcpu.regHi(from.reg) : 0;
    const r = to.reg as 0 | 2 | 3 | 4 | 8;
    if (r !== 2 && vetoed(vcpu, vcpu.hooks.controlRegister?.(r, u64(lo, hi)))) return suppressed(vcpu);
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
  const [lo, hi] = readControlRegister(vcpu, from.reg);
  vcpu.setReg(to.reg, lo, vcpu.mode === 64 ? hi : 0);
  return NEXT;
};

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
  if (vetoed(vcpu, vcpu.hooks.controlRegister?.(0, u64(next, 0)))) return suppressed(vcpu);
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
  if (vetoed(vcpu, vcpu.hooks.controlRegister?.(0, u64(next, 0)))) return suppressed(vcpu);
  return done(writeControlRegister(vcpu, 0, next, 0));
};

export const CONTROL_REGISTER_HELPERS: Readonly<Record<string, Helper>> = { mov, clts, smsw, lmsw };

import * as S from "../../../state.js";
import type { Helper } from "../../context/helper.js";
import { writeRegister } from "../../memory/operands.js";
import { canonical } from "../../registers/canonical.js";
import { ATTR_DB, ATTR_L, CR0_PE, EFER_LMA, EFER_SCE, MSR, Vector } from "../../registers/constants.js";
import { flatSegment } from "../../segments/segments.js";
import { done, JUMP, skipped, undefinedOpcode, vetoed } from "../common.js";

const syscall: Helper = (vcpu, { insn }) => {
  if (!(vcpu.efer & EFER_SCE) || vcpu.mode !== 64) return undefinedOpcode(vcpu);
  if (vetoed(vcpu, vcpu.hooks.syscall?.())) return skipped(vcpu, insn);
  const next = (vcpu.ripLo + insn.len) | 0;
  vcpu.setReg(1, next, next >>> 0 < vcpu.ripLo >>> 0 ? vcpu.ripHi + 1 : vcpu.ripHi);
  vcpu.setReg(11, vcpu.rflags & ~S.RF, 0);
  const target = vcpu.msr(MSR.LSTAR);
  const selector = vcpu.msr(MSR.STAR)[1] & 0xfffc;
  vcpu.rflags = vcpu.rflags & ~vcpu.msr(MSR.SFMASK)[0] & ~S.RF;
  vcpu.setSegments(flatSegment(selector, 0x1b | ATTR_L), flatSegment((selector + 8) & 0xffff, 0x13 | ATTR_DB));
  vcpu.setRip(target[0], target[1]);
  vcpu.traceByFlags();
  return JUMP;
};

const sysret: Helper = (vcpu, { insn }) => {
  if (!(vcpu.efer & EFER_SCE) || vcpu.mode !== 64) return undefinedOpcode(vcpu);
  if (vcpu.cpl !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  const wide = insn.opSize === 8;
  const lo = vcpu.regLo(1);
  const hi = wide ? vcpu.regHi(1) : 0;
  if (!canonical(vcpu, hi)) return done(vcpu.raiseError(Vector.GP, 0));
  const base = vcpu.msr(MSR.STAR)[1] >>> 16;
  vcpu.rflags = (vcpu.regLo(11) & 0x3c7fd7) | 2;
  const code = flatSegment((base + (wide ? 16 : 0)) | 3, 0x7b | (wide ? ATTR_L : ATTR_DB));
  vcpu.setSegments(code, flatSegment((base + 8) | 3, 0x73 | ATTR_DB));
  vcpu.setRip(lo, hi);
  vcpu.flagsChanged();
  vcpu.traceByFlags();
  return JUMP;
};

const sysenter: Helper = (vcpu, { insn }) => {
  const [cs] = vcpu.msr(MSR.SYSENTER_CS);
  if (!(vcpu.cr0 & CR0_PE) || (cs & 0xfffc) === 0) return done(vcpu.raiseError(Vector.GP, 0));
  if (vetoed(vcpu, vcpu.hooks.syscall?.())) return skipped(vcpu, insn);
  const long = (vcpu.efer & EFER_LMA) !== 0;
  const [ipLo, ipHi] = vcpu.msr(MSR.SYSENTER_EIP);
  const [spLo, spHi] = vcpu.msr(MSR.SYSENTER_ESP);
  vcpu.setI32(S.FLAGS, vcpu.flags & ~(S.VM | S.IF | S.RF));
  vcpu.setSegments(
    flatSegment(cs & 0xfffc, 0x1b | (long ? ATTR_L : ATTR_DB)),
    flatSegment(((cs & 0xfffc) + 8) & 0xffff, 0x13 | ATTR_DB),
  );
  vcpu.setReg(4, spLo, long ? spHi : 0);
  vcpu.setRip(ipLo, long ? ipHi : 0);
  return JUMP;
};

const sysexit: Helper = (vcpu, { insn }) => {
  const [cs] = vcpu.msr(MSR.SYSENTER_CS);
  if (!(vcpu.cr0 & CR0_PE) || (cs & 0xfffc) === 0 || vcpu.cpl !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  const wide = insn.opSize === 8;
  if (wide && !(canonical(vcpu, vcpu.regHi(2)) && canonical(vcpu, vcpu.regHi(1)))) {
    return done(vcpu.raiseError(Vector.GP, 0));
  }
  const base = cs & 0xfffc;
  const code = flatSegment((base + (wide ? 32 : 16)) | 3, 0x7b | (wide ? ATTR_L : ATTR_DB));
  const [lo, hi] = [vcpu.regLo(2), vcpu.regHi(2)];
  vcpu.setSegments(code, flatSegment((base + (wide ? 40 : 24)) | 3, 0x73 | ATTR_DB));
  writeRegister(vcpu, 4, wide ? 8 : 4, vcpu.regLo(1), vcpu.regHi(1));
  vcpu.setRip(lo, wide ? hi : 0);
  return JUMP;
};

export const SYSTEM_CALL_HELPERS: Readonly<Record<string, Helper>> = { syscall, sysret, sysenter, sysexit };

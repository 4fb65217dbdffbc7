import { Kind } from "../../decode/index.js";
import * as S from "../../state.js";
import {
  ATTR_CONFORMING,
  ATTR_DB,
  ATTR_L,
  ATTR_P,
  ATTR_S,
  EFER_LMA,
  EFER_SCE,
  MSR,
  Seg,
  Vector,
} from "../constants.js";
import type { Pending } from "../interrupt.js";
import {
  adjustStack,
  effectiveAddress,
  type Halves,
  peekStack,
  push,
  setStackPointer,
  writeRegister,
} from "../operands.js";
import {
  attributesOfDescriptor,
  checkCode,
  type Descriptor,
  dpl,
  flatSegment,
  installCode,
  installStack,
  limitOf,
  loadSegment,
  nullStack,
  readDescriptor,
  type SegmentCache,
} from "../segments.js";
import type { Helper, Vcpu } from "../vcpu.js";
import { done, FAULT, JUMP, NEXT, suppressed, undefinedOpcode } from "./common.js";
import { writableFlags } from "./stack.js";

const value: Halves = { lo: 0, hi: 0 };

const canonical = (lo: number, hi: number): boolean => hi >> 15 === hi >> 31 && (lo | 0) === lo;

function real(vcpu: Vcpu): boolean {
  return !(vcpu.cr0 & 1) || (vcpu.flags & S.VM) !== 0;
}

function setCodeReal(vcpu: Vcpu, selector: number): void {
  const cs = vcpu.segments[Seg.CS] as SegmentCache;
  vcpu.setSegment(Seg.CS, { ...cs, selector, baseLo: selector << 4, baseHi: 0 });
}

/** Far target of CALL/JMP: immediate or memory. */
function farTarget(vcpu: Vcpu, site: Parameters<Helper>[1], out: Halves): number {
  const { insn } = site;
  const operand = insn.operands[0];
  if (operand.kind === Kind.Far) {
    out.lo = insn.immLo;
    out.hi = 0;
    return insn.imm2 & 0xffff;
  }
  const size = insn.opSize;
  if (!effectiveAddress(vcpu, insn, value, size + 2, false)) return -1;
  const at = { ...value };
  if (!vcpu.linear.read(at.lo, at.hi, size)) return -1;
  out.lo = vcpu.linear.lo;
  out.hi = vcpu.linear.hi;
  if (!vcpu.linear.read((at.lo + size) | 0, at.hi, 2)) return -1;
  return vcpu.linear.lo;
}

const target: Halves = { lo: 0, hi: 0 };

/** The code descriptor a far JMP or CALL to `selector` leads to without a gate. */
function codeSegment(vcpu: Vcpu, selector: number): Descriptor | null {
  if ((selector & 0xfffc) === 0) {
    vcpu.raiseError(Vector.GP, 0);
    return null;
  }
  const d = readDescriptor(vcpu, selector);
  if (d === null) return null;
  const attributes = attributesOfDescriptor(d);
  const error = selector & 0xfffc;
  if (!(attributes & ATTR_S)) {
    vcpu.raiseError(Vector.GP, error);
    return null;
  }
  if (!(attributes & ATTR_CONFORMING) && (selector & 3) > vcpu.cpl) {
    vcpu.raiseError(Vector.GP, error);
    return null;
  }
  return checkCode(vcpu, selector, d, vcpu.cpl) ? d : null;
}

/** #GP(0) for an instruction pointer that is not canonical in 64-bit code or beyond the limit of other code. */
function checkPointer(vcpu: Vcpu, rip: Halves, limit: number, attributes: number): boolean {
  const long = (vcpu.efer & EFER_LMA) !== 0 && (attributes & ATTR_L) !== 0;
  const valid = long ? canonical(rip.lo, rip.hi) : rip.lo >>> 0 <= limit;
  return valid || vcpu.raiseError(Vector.GP, 0);
}

const checkFar = (vcpu: Vcpu, rip: Halves, d: Descriptor): boolean =>
  checkPointer(vcpu, rip, limitOf(d), attributesOfDescriptor(d));

/** The same without a descriptor: real and virtual-8086 mode keep the limit of CS. */
function checkFarReal(vcpu: Vcpu, rip: Halves): boolean {
  const { limit, attributes } = vcpu.segments[Seg.CS] as SegmentCache;
  return checkPointer(vcpu, rip, limit, attributes);
}

const jmpf: Helper = (vcpu, site) => {
  const selector = farTarget(vcpu, site, target);
  if (selector < 0) return FAULT;
  if (site.insn.opSize === 2) target.lo &= 0xffff;
  if (real(vcpu)) {
    if (!checkFarReal(vcpu, target)) return FAULT;
    setCodeReal(vcpu, selector);
    vcpu.setRip(target.lo, 0);
    return JUMP;
  }
  const d = codeSegment(vcpu, selector);
  if (d === null || !checkFar(vcpu, target, d)) return FAULT;
  if (!installCode(vcpu, selector, d, vcpu.cpl)) return FAULT;
  vcpu.setRip(target.lo, target.hi);
  return JUMP;
};

const callf: Helper = (vcpu, site) => {
  const { insn } = site;
  const size = insn.opSize;
  const selector = farTarget(vcpu, site, target);
  if (selector < 0) return FAULT;
  if (size === 2) target.lo &= 0xffff;
  const cs = (vcpu.segments[Seg.CS] as SegmentCache).selector;
  const sp: readonly [number, number] = [vcpu.regLo(4), vcpu.regHi(4)];
  const d = real(vcpu) ? undefined : codeSegment(vcpu, selector);
  if (d === null) return FAULT;
  const next = (vcpu.ripLo + insn.len) | 0;
  const nextHi = next >>> 0 < vcpu.ripLo >>> 0 ? vcpu.ripHi + 1 : vcpu.ripHi;
  // The frame is in memory even if the target then faults (recorded from hardware).
  const pushed = push(vcpu, size, cs, 0) && push(vcpu, size, next, nextHi);
  if (!pushed || !(d === undefined ? checkFarReal(vcpu, target) : checkFar(vcpu, target, d))) {
    vcpu.setReg(4, ...sp);
    return FAULT;
  }
  if (d === undefined) setCodeReal(vcpu, selector);
  else if (!installCode(vcpu, selector, d, vcpu.cpl)) return FAULT;
  vcpu.setRip(target.lo, target.hi);
  return JUMP;
};

/** Returns to `selector`:`rip`, to an outer level with the stack found at `stackAt` bytes above the stack pointer. */
function returnFar(
  vcpu: Vcpu,
  selector: number,
  rip: Halves,
  size: number,
  stackAt: number,
  release: number,
  iret: boolean,
): boolean {
  const { cpl } = vcpu;
  const rpl = selector & 3;
  if ((selector & 0xfffc) === 0) return vcpu.raiseError(Vector.GP, 0);
  const d = readDescriptor(vcpu, selector);
  if (d === null) return false;
  const attributes = attributesOfDescriptor(d);
  if (rpl < cpl) return vcpu.raiseError(Vector.GP, selector & 0xfffc);
  if (!checkCode(vcpu, selector, d, rpl)) return false;
  const long = vcpu.mode === 64;
  if (rpl === cpl && !(iret && long)) {
    if (!checkFar(vcpu, rip, d) || !installCode(vcpu, selector, d, rpl)) return false;
    adjustStack(vcpu, stackAt + release);
    vcpu.setRip(rip.lo, rip.hi);
    return true;
  }
  const sp: Halves = { lo: 0, hi: 0 };
  if (!peekStack(vcpu, stackAt + release, size, sp)) return false;
  if (!peekStack(vcpu, stackAt + release + size, size, value)) return false;
  const ss = value.lo & 0xffff;
  if ((ss & 0xfffc) === 0) {
    if (!(long && attributes & ATTR_L && rpl < 3 && (ss & 3) === rpl)) return vcpu.raiseError(Vector.GP, 0);
    if (!checkFar(vcpu, rip, d) || !installCode(vcpu, selector, d, rpl)) return false;
    nullStack(vcpu, rpl);
    (vcpu.segments[Seg.SS] as SegmentCache).selector = ss;
  } else {
    const sd = readDescriptor(vcpu, ss);
    if (sd === null) return false;
    const sa = attributesOfDescriptor(sd);
    if ((ss & 3) !== rpl || (sa & 0x1a) !== 0x12 || dpl(sa) !== rpl) return vcpu.raiseError(Vector.GP, ss & 0xfffc);
    if (!(sa & ATTR_P)) return vcpu.raiseError(Vector.SS, ss & 0xfffc);
    if (!checkFar(vcpu, rip, d) || !installCode(vcpu, selector, d, rpl)) return false;
    if (!installStack(vcpu, ss, sd)) return false;
  }
  setStackPointer(vcpu, sp);
  if (release > 0) adjustStack(vcpu, release);
  if (rpl > cpl) dropInnerSegments(vcpu, rpl);
  vcpu.setRip(rip.lo, rip.hi);
  return true;
}

/** Data segments of a more privileged level become null on a return to an outer one (SDM vol. 2, RET). */
function dropInnerSegments(vcpu: Vcpu, cpl: number): void {
  for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) {
    const { attributes, selector } = vcpu.segments[seg] as SegmentCache;
    const conforming = (attributes & 0x0c) === 0x0c;
    if ((selector & 0xfffc) !== 0 && dpl(attributes) < cpl && !conforming) {
      // Unusable; what else the hidden part holds stays.
      vcpu.setSegment(seg, { ...(vcpu.segments[seg] as SegmentCache), selector: 0, attributes: 0 });
    }
  }
}

const retf: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  const rip: Halves = { lo: 0, hi: 0 };
  if (!peekStack(vcpu, 0, size, rip) || !peekStack(vcpu, size, size, value)) return FAULT;
  const selector = value.lo & 0xffff;
  const release = insn.nops > 0 ? insn.immLo & 0xffff : 0;
  if (real(vcpu)) {
    if (!checkFarReal(vcpu, rip)) return FAULT;
    adjustStack(vcpu, 2 * size + release);
    setCodeReal(vcpu, selector);
    vcpu.setRip(rip.lo, 0);
    return JUMP;
  }
  return returnFar(vcpu, selector, rip, size, 2 * size, release, false) ? JUMP : FAULT;
};

const iret: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  const rip: Halves = { lo: 0, hi: 0 };
  if (!real(vcpu) && vcpu.flags & S.NT) {
    // A return to another task needs hardware task switching, which long mode does not have.
    vcpu.raiseError(vcpu.efer & EFER_LMA ? Vector.GP : Vector.TS, 0);
    return FAULT;
  }
  if (!peekStack(vcpu, 0, size, rip) || !peekStack(vcpu, size, size, value)) return FAULT;
  const selector = value.lo & 0xffff;
  if (!peekStack(vcpu, 2 * size, size, value)) return FAULT;
  const flags = value.lo;
  const mask = writableFlags(vcpu, size);
  const keepTf = vcpu.rflags;
  if (real(vcpu)) {
    if (!checkFarReal(vcpu, rip)) return FAULT;
    adjustStack(vcpu, 3 * size);
    setCodeReal(vcpu, selector);
    vcpu.setRip(rip.lo, 0);
  } else if (!returnFar(vcpu, selector, rip, size, 3 * size, 0, true)) return FAULT;
  vcpu.rflags = (keepTf & ~mask) | (flags & mask);
  vcpu.keepRf = (vcpu.flags & S.RF) !== 0;
  if (vcpu.nmiBlocked) {
    vcpu.nmiBlocked = false;
    vcpu.interrupt();
  }
  vcpu.updateMode();
  vcpu.flagsChanged();
  return JUMP;
};

/** A software interrupt: the return address is the next instruction. */
function software(vcpu: Vcpu, vector: number, length: number, kind: Pending["kind"] = "software"): number {
  const next = (vcpu.ripLo + length) | 0;
  if (next >>> 0 < vcpu.ripLo >>> 0) vcpu.ripHi = (vcpu.ripHi + 1) | 0;
  const at: readonly [number, number] = [vcpu.ripLo, vcpu.ripHi];
  vcpu.ripLo = next;
  const outcome = vcpu.deliverSoftware({ vector, errorCode: null, kind }, at);
  return outcome ? JUMP : FAULT;
}

const int: Helper = (vcpu, { insn }) => software(vcpu, insn.immLo & 0xff, insn.len);
const int3: Helper = (vcpu, { insn }) => {
  if (vcpu.hooks.breakpoint && !vcpu.hooks.breakpoint()) return suppressed(vcpu);
  return software(vcpu, Vector.BP, insn.len);
};
/** INT1 asks no gate for its DPL, and takes debug exceptions with it that waited for the end of a MOV SS. */
const int1: Helper = (vcpu, { insn }) => {
  vcpu.takeDebugTraps();
  return software(vcpu, Vector.DB, insn.len, "exception");
};
const into: Helper = (vcpu, { insn }) => (vcpu.rflags & S.OF ? software(vcpu, Vector.OF, insn.len) : NEXT);

const syscall: Helper = (vcpu, { insn }) => {
  if (!(vcpu.efer & EFER_SCE) || vcpu.mode !== 64) return undefinedOpcode(vcpu);
  vcpu.hooks.syscall?.();
  if (vcpu.leaving) return FAULT;
  const next = (vcpu.ripLo + insn.len) | 0;
  vcpu.setReg(1, next, next >>> 0 < vcpu.ripLo >>> 0 ? vcpu.ripHi + 1 : vcpu.ripHi);
  vcpu.setReg(11, vcpu.rflags & ~S.RF, 0);
  const [, starHi] = vcpu.msr(MSR.STAR);
  const [maskLo] = vcpu.msr(MSR.SFMASK);
  const [targetLo, targetHi] = vcpu.msr(MSR.LSTAR);
  const selector = starHi & 0xfffc;
  vcpu.rflags = vcpu.rflags & ~maskLo & ~S.RF;
  vcpu.setSegments(flatSegment(selector, 0x1b | ATTR_L), flatSegment((selector + 8) & 0xffff, 0x13 | ATTR_DB));
  vcpu.setRip(targetLo, targetHi);
  vcpu.traceByFlags();
  return JUMP;
};

const sysret: Helper = (vcpu, { insn }) => {
  if (!(vcpu.efer & EFER_SCE) || vcpu.mode !== 64) return undefinedOpcode(vcpu);
  if (vcpu.cpl !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  const wide = insn.opSize === 8;
  const lo = vcpu.regLo(1);
  const hi = wide ? vcpu.regHi(1) : 0;
  if (!canonical(lo, hi)) return done(vcpu.raiseError(Vector.GP, 0));
  const [, starHi] = vcpu.msr(MSR.STAR);
  const base = starHi >>> 16;
  vcpu.rflags = (vcpu.regLo(11) & 0x3c7fd7) | 2;
  const code = flatSegment((base + (wide ? 16 : 0)) | 3, 0x7b | (wide ? ATTR_L : ATTR_DB));
  vcpu.setSegments(code, flatSegment((base + 8) | 3, 0x73 | ATTR_DB));
  vcpu.setRip(lo, hi);
  vcpu.flagsChanged();
  vcpu.traceByFlags();
  return JUMP;
};

const sysenter: Helper = (vcpu) => {
  const [cs] = vcpu.msr(MSR.SYSENTER_CS);
  if (!(vcpu.cr0 & 1) || (cs & 0xfffc) === 0) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.hooks.syscall?.();
  if (vcpu.leaving) return FAULT;
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
  if (!(vcpu.cr0 & 1) || (cs & 0xfffc) === 0 || vcpu.cpl !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  const wide = insn.opSize === 8;
  if (wide && !(canonical(vcpu.regLo(2), vcpu.regHi(2)) && canonical(vcpu.regLo(1), vcpu.regHi(1)))) {
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

/** LDS LES LSS LFS LGS. */
const loadFar =
  (seg: Seg): Helper =>
  (vcpu, { insn }) => {
    const size = insn.opSize;
    if (!effectiveAddress(vcpu, insn, value, size + 2, false)) return FAULT;
    const at = { ...value };
    if (!vcpu.linear.read(at.lo, at.hi, size)) return FAULT;
    const { lo, hi } = vcpu.linear;
    if (!vcpu.linear.read((at.lo + size) | 0, at.hi, 2)) return FAULT;
    if (!loadSegment(vcpu, seg, vcpu.linear.lo)) return FAULT;
    writeRegister(vcpu, insn.operands[0].reg, size, lo, hi);
    return NEXT;
  };

export const TRANSFER_HELPERS: Readonly<Record<string, Helper>> = {
  jmpf,
  callf,
  retf,
  iret,
  int,
  int3,
  int1,
  into,
  syscall,
  sysret,
  sysenter,
  sysexit,
  les: loadFar(Seg.ES),
  lds: loadFar(Seg.DS),
  lss: loadFar(Seg.SS),
  lfs: loadFar(Seg.FS),
  lgs: loadFar(Seg.GS),
};

import { Kind } from "../../decode/index.js";
import * as S from "../../state.js";
import {
  ATTR_P,
  CR0_PE,
  CR0_PG,
  CR4_FSGSBASE,
  CR4_OFFERED,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCIDE,
  CR4_TSD,
  CR4_UMIP,
  EFER_LMA,
  EFER_LME,
  Seg,
  Vector,
} from "../constants.js";
import { readMsr, writeMsr } from "../msr.js";
import { effectiveAddress, type Halves, readOperand, writeOperand } from "../operands.js";
import type { TableRegister } from "../registers.js";
import {
  attributesOfDescriptor,
  baseOf,
  dpl,
  limitOf,
  loadSegment,
  readDescriptor,
  type SegmentCache,
} from "../segments.js";
import type { Helper, Vcpu } from "../vcpu.js";
import { done, FAULT, JUMP, NEXT, privileged, undefinedOpcode } from "./common.js";

const value: Halves = { lo: 0, hi: 0 };

// Control and debug registers

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

function writeCr4(vcpu: Vcpu, lo: number, hi: number): boolean {
  const pcideOn = lo & CR4_PCIDE && !(vcpu.cr4 & CR4_PCIDE);
  if (
    hi !== 0 ||
    lo & ~CR4_OFFERED ||
    (vcpu.efer & EFER_LMA && !(lo & CR4_PAE)) ||
    (pcideOn && (!(vcpu.efer & EFER_LMA) || (vcpu.paging.cr3Lo & 0xfff) !== 0))
  ) {
    return vcpu.raiseError(Vector.GP, 0);
  }
  vcpu.cr4 = lo;
  vcpu.updatePaging();
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

const movControl: Helper = (vcpu, { insn }) => {
  const [to, from] = insn.operands;
  if (!privileged(vcpu)) return FAULT;
  if (to.kind === Kind.Cr) {
    const lo = vcpu.regLo(from.reg);
    const hi = vcpu.mode === 64 ? vcpu.regHi(from.reg) : 0;
    const r = to.reg;
    if (r !== 0 && r !== 2 && r !== 3 && r !== 4 && r !== 8) return undefinedOpcode(vcpu);
    if (r !== 2 && vcpu.hooks.controlRegister && !vcpu.hooks.controlRegister(r, lo, hi)) return NEXT;
    if (r === 2) {
      vcpu.cr2Lo = lo;
      vcpu.cr2Hi = hi;
    } else if (r === 8) {
      if (hi !== 0 || lo & ~15) return done(vcpu.raiseError(Vector.GP, 0));
      vcpu.ports.apic.cr8 = lo;
      if (vcpu.ports.apic.hasInterrupt()) vcpu.interrupt();
    } else {
      const ok = r === 0 ? writeCr0(vcpu, lo, hi) : r === 3 ? writeCr3(vcpu, lo, hi) : writeCr4(vcpu, lo, hi);
      if (!ok) return FAULT;
      // Translation, and with it the mapping of this code, may have changed.
      vcpu.endSlice();
    }
    return NEXT;
  }
  const [lo, hi] = readControl(vcpu, from.reg);
  if (from.reg !== 0 && from.reg !== 2 && from.reg !== 3 && from.reg !== 4 && from.reg !== 8)
    return undefinedOpcode(vcpu);
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

/** MOV DR: DR4/5 alias DR6/7 unless CR4.DE; reserved bits of DR6/DR7 read as hardware has them. */
const movDebug: Helper = (vcpu, { insn }) => {
  const [to, from] = insn.operands;
  if (!privileged(vcpu)) return FAULT;
  const write = to.kind === Kind.Dr;
  let r = write ? to.reg : from.reg;
  if (r === 4 || r === 5) {
    if (vcpu.cr4 & 8) return undefinedOpcode(vcpu);
    r += 2;
  }
  if (r > 7) return undefinedOpcode(vcpu);
  if (!write) {
    vcpu.setReg(to.reg, vcpu.dr[2 * r] as number, vcpu.mode === 64 ? (vcpu.dr[2 * r + 1] as number) : 0);
    return NEXT;
  }
  const lo = vcpu.regLo(from.reg);
  const hi = vcpu.mode === 64 ? vcpu.regHi(from.reg) : 0;
  if (r >= 6 && hi !== 0) return done(vcpu.raiseError(Vector.GP, 0));
  vcpu.dr[2 * r] = r === 6 ? (lo & 0xe00f) | 0xffff0ff0 : r === 7 ? (lo & 0xffff2bff) | 0x400 : lo;
  vcpu.dr[2 * r + 1] = hi;
  return NEXT;
};

/** MOV from and to segment registers, control and debug registers. */
const mov: Helper = (vcpu, site, record) => {
  const { insn } = site;
  const [to, from] = insn.operands;
  if (to.kind === Kind.Cr || from.kind === Kind.Cr) return movControl(vcpu, site, record);
  if (to.kind === Kind.Dr || from.kind === Kind.Dr) return movDebug(vcpu, site, record);
  if (to.kind === Kind.Seg) {
    if (!readOperand(vcpu, insn, 1, value)) return FAULT;
    if (!loadSegment(vcpu, to.reg, value.lo & 0xffff)) return FAULT;
    if (to.reg === Seg.SS) vcpu.holdInterrupts();
    return NEXT;
  }
  const { selector } = vcpu.segments[from.reg] as SegmentCache;
  return done(writeOperand(vcpu, insn, 0, selector, 0));
};

// Descriptor tables

function umip(vcpu: Vcpu): boolean {
  return vcpu.cr4 & CR4_UMIP && vcpu.cpl > 0 ? vcpu.raiseError(Vector.GP, 0) : true;
}

const loadTable =
  (name: "gdtr" | "idtr"): Helper =>
  (vcpu, { insn }) => {
    if (!privileged(vcpu)) return FAULT;
    vcpu.hooks.descriptorTable?.(name, true);
    effectiveAddress(vcpu, insn, value);
    const { lo, hi } = value;
    const { linear } = vcpu;
    if (!linear.read(lo, hi, 2)) return FAULT;
    const limit = linear.lo;
    if (!linear.read((lo + 2) | 0, hi, vcpu.mode === 64 ? 8 : 4)) return FAULT;
    const table: TableRegister = vcpu[name];
    table.limit = limit;
    table.baseLo = vcpu.mode !== 64 && insn.opSize === 2 ? linear.lo & 0xffffff : linear.lo;
    table.baseHi = linear.hi;
    return NEXT;
  };

const storeTable =
  (name: "gdtr" | "idtr"): Helper =>
  (vcpu, { insn }) => {
    if (!umip(vcpu)) return FAULT;
    vcpu.hooks.descriptorTable?.(name, false);
    effectiveAddress(vcpu, insn, value);
    const { lo, hi } = value;
    const { limit, baseLo, baseHi } = vcpu[name];
    if (!vcpu.linear.write(lo, hi, 2, limit, 0)) return FAULT;
    return done(vcpu.linear.write((lo + 2) | 0, hi, vcpu.mode === 64 ? 8 : 4, baseLo, baseHi));
  };

/** LLDT and LTR: system descriptors are 16 bytes in long mode. */
const loadSystemSegment =
  (name: "ldtr" | "tr"): Helper =>
  (vcpu, { insn }) => {
    if (!(vcpu.cr0 & CR0_PE)) return undefinedOpcode(vcpu);
    if (!privileged(vcpu)) return FAULT;
    vcpu.hooks.descriptorTable?.(name, true);
    if (!readOperand(vcpu, insn, 0, value)) return FAULT;
    const selector = value.lo & 0xffff;
    if ((selector & 0xfffc) === 0) {
      if (name === "tr") return done(vcpu.raiseError(Vector.GP, 0));
      vcpu.ldtr = { selector, baseLo: 0, baseHi: 0, limit: 0, attributes: 0 };
      return NEXT;
    }
    if (selector & 4) return done(vcpu.raiseError(Vector.GP, selector & 0xfffc));
    const d = readDescriptor(vcpu, selector);
    if (d === null) return FAULT;
    const attributes = attributesOfDescriptor(d);
    const type = attributes & 0x1f;
    const long = (vcpu.efer & EFER_LMA) !== 0;
    const right = name === "ldtr" ? type === 2 : type === 9 || (!long && type === 1);
    if (!right) return done(vcpu.raiseError(Vector.GP, selector & 0xfffc));
    if (!(attributes & ATTR_P)) return done(vcpu.raiseError(Vector.NP, selector & 0xfffc));
    let baseHi = 0;
    if (long) {
      if (!vcpu.linear.readSystem((d.atLo + 8) | 0, d.atHi, 4)) return FAULT;
      baseHi = vcpu.linear.lo;
    }
    const busy = name === "tr" ? attributes | 2 : attributes;
    if (name === "tr" && !vcpu.linear.writeSystem((d.atLo + 5) | 0, d.atHi, 1, busy & 0xff)) return FAULT;
    vcpu[name] = { selector, baseLo: baseOf(d), baseHi, limit: limitOf(d), attributes: busy };
    return NEXT;
  };

const storeSystemSegment =
  (name: "ldtr" | "tr"): Helper =>
  (vcpu, { insn }) => {
    if (!(vcpu.cr0 & CR0_PE)) return undefinedOpcode(vcpu);
    if (!umip(vcpu)) return FAULT;
    vcpu.hooks.descriptorTable?.(name, false);
    return done(writeOperand(vcpu, insn, 0, vcpu[name].selector, 0));
  };

/** LAR LSL VERR VERW: reads a descriptor without faulting on its contents. SDM vol. 2. */
const inspect =
  (what: "lar" | "lsl" | "verr" | "verw"): Helper =>
  (vcpu, { insn }) => {
    if (!(vcpu.cr0 & CR0_PE) || vcpu.flags & S.VM) return undefinedOpcode(vcpu);
    const k = what === "lar" || what === "lsl" ? 1 : 0;
    if (!readOperand(vcpu, insn, k, value)) return FAULT;
    const selector = value.lo & 0xffff;
    const setZf = (on: boolean): number => {
      vcpu.rflags = on ? vcpu.rflags | S.ZF : vcpu.rflags & ~S.ZF;
      return NEXT;
    };
    if ((selector & 0xfffc) === 0) return setZf(false);
    const d = readDescriptor(vcpu, selector);
    if (d === null) {
      if (vcpu.pending?.vector === Vector.PF) return FAULT;
      vcpu.forget();
      return setZf(false);
    }
    const attributes = attributesOfDescriptor(d);
    const type = attributes & 0x1f;
    const system = !(attributes & 0x10);
    const code = (attributes & 0x18) === 0x18;
    const conforming = code && (attributes & 4) !== 0;
    const visible = conforming || (vcpu.cpl <= dpl(attributes) && (selector & 3) <= dpl(attributes));
    if (what === "verr") return setZf(!system && visible && (!code || (attributes & 2) !== 0));
    if (what === "verw") return setZf(!system && !code && visible && (attributes & 2) !== 0);
    const long = (vcpu.efer & EFER_LMA) !== 0;
    const lsl = long ? [2, 9, 11] : [1, 2, 3, 9, 11];
    const lar = long ? [2, 9, 11, 12] : [1, 2, 3, 4, 5, 9, 11, 12];
    if (!visible || (system && !(what === "lar" ? lar : lsl).includes(type))) return setZf(false);
    const result = what === "lar" ? d.hi & 0xf0ff00 : limitOf(d) | 0;
    writeOperand(vcpu, insn, 0, result, 0);
    return setZf(true);
  };

// Processor control

const cpuid: Helper = (vcpu) => {
  vcpu.counts.cpuid++;
  const leaf = vcpu.regLo(0) >>> 0;
  const subleaf = vcpu.regLo(1) >>> 0;
  vcpu.hooks.cpuid?.(leaf, subleaf);
  const { eax, ebx, ecx, edx } = vcpu.ports.cpuid.query(leaf, subleaf);
  const osxsave = leaf === 1 && vcpu.cr4 & CR4_OSXSAVE ? 1 << 27 : 0;
  const apicId = leaf === 1 ? vcpu.id << 24 : 0;
  vcpu.setReg(0, eax, 0);
  vcpu.setReg(3, ebx | apicId, 0);
  vcpu.setReg(1, ecx | osxsave, 0);
  vcpu.setReg(2, leaf === 0xb || leaf === 0x1f ? vcpu.id : edx, 0);
  return NEXT;
};

const rdmsr: Helper = (vcpu) => {
  if (!privileged(vcpu)) return FAULT;
  vcpu.counts.msr++;
  const number = vcpu.regLo(1) >>> 0;
  vcpu.hooks.msrRead?.(number);
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
  if (vcpu.hooks.msrWrite && !vcpu.hooks.msrWrite(number, lo, hi)) return NEXT;
  return done(writeMsr(vcpu, number, lo, hi) || vcpu.raiseError(Vector.GP, 0));
};

const rdtsc: Helper = (vcpu) => {
  if (vcpu.cr4 & CR4_TSD && vcpu.cpl > 0) return done(vcpu.raiseError(Vector.GP, 0));
  const tsc = vcpu.tsc();
  vcpu.setReg(0, (tsc % 0x100000000) | 0, 0);
  vcpu.setReg(2, (tsc / 0x100000000) | 0, 0);
  return NEXT;
};

const rdtscp: Helper = (vcpu, site, record) => {
  const result = rdtsc(vcpu, site, record);
  if (result === NEXT) vcpu.setReg(1, vcpu.msr(0xc0000103)[0], 0);
  return result;
};

const rdpid: Helper = (vcpu, { insn }) => {
  vcpu.setReg(insn.operands[0].reg, vcpu.msr(0xc0000103)[0], 0);
  return NEXT;
};

const hlt: Helper = (vcpu, { insn }) => {
  if (!privileged(vcpu)) return FAULT;
  vcpu.counts.hlt++;
  vcpu.hooks.hlt?.();
  vcpu.setRip(
    (vcpu.ripLo + insn.len) | 0,
    (vcpu.ripLo + insn.len) >>> 0 < vcpu.ripLo >>> 0 ? vcpu.ripHi + 1 : vcpu.ripHi,
  );
  vcpu.halt();
  return JUMP;
};

const swapgs: Helper = (vcpu) => {
  if (vcpu.mode !== 64) return undefinedOpcode(vcpu);
  if (!privileged(vcpu)) return FAULT;
  const gs = vcpu.segments[Seg.GS] as SegmentCache;
  const [lo, hi] = vcpu.msr(0xc0000102);
  vcpu.msrs.set(0xc0000102, [gs.baseLo, gs.baseHi]);
  vcpu.setSegment(Seg.GS, { ...gs, baseLo: lo, baseHi: hi });
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
    if (hi >> 15 !== hi >> 31) return done(vcpu.raiseError(Vector.GP, 0));
    vcpu.setSegment(seg, { ...cache, baseLo: lo, baseHi: hi });
    return NEXT;
  };

const invlpg: Helper = (vcpu) => {
  if (!privileged(vcpu)) return FAULT;
  // Entries are 4 KiB pieces of pages of any size: a piece does not know its siblings.
  vcpu.tlb.flush();
  return NEXT;
};

/** INVPCID: TLBs are not tagged, so every type forgets everything. Descriptor checks of SDM vol. 2, INVPCID. */
const invpcid: Helper = (vcpu, { insn }) => {
  if (!privileged(vcpu)) return FAULT;
  const type = vcpu.regLo(insn.operands[0].reg) >>> 0;
  effectiveAddress(vcpu, insn, value);
  const { lo, hi } = value;
  if (!vcpu.linear.read(lo, hi, 8)) return FAULT;
  const reserved = vcpu.linear.lo >>> 12 !== 0 || vcpu.linear.hi !== 0;
  if (type > 3 || (type < 2 && (reserved || (!(vcpu.cr4 & CR4_PCIDE) && (vcpu.linear.lo & 0xfff) !== 0)))) {
    return done(vcpu.raiseError(Vector.GP, 0));
  }
  vcpu.tlb.flush();
  return NEXT;
};

const clts: Helper = (vcpu) => {
  if (!privileged(vcpu)) return FAULT;
  vcpu.cr0 &= ~8;
  vcpu.paging.cr0 = vcpu.cr0;
  vcpu.updateUnits();
  return NEXT;
};

const smsw: Helper = (vcpu, { insn }) => (umip(vcpu) ? done(writeOperand(vcpu, insn, 0, vcpu.cr0, 0)) : FAULT);

const lmsw: Helper = (vcpu, { insn }) => {
  if (!privileged(vcpu) || !readOperand(vcpu, insn, 0, value)) return FAULT;
  // PE can be set, not cleared.
  const next = (vcpu.cr0 & ~0xe) | (value.lo & 0xf);
  if (!writeCr0(vcpu, next, 0)) return FAULT;
  vcpu.endSlice();
  return NEXT;
};

const privilegedNop: Helper = (vcpu) => done(privileged(vcpu));

const vmcall: Helper = (vcpu) => {
  vcpu.counts.hypercall++;
  return vcpu.hooks.hypercall?.() ? NEXT : undefinedOpcode(vcpu);
};

const toolong: Helper = (vcpu) => done(vcpu.raiseError(Vector.GP, 0));

export const SYSTEM_HELPERS: Readonly<Record<string, Helper>> = {
  mov,
  lgdt: loadTable("gdtr"),
  lidt: loadTable("idtr"),
  sgdt: storeTable("gdtr"),
  sidt: storeTable("idtr"),
  lldt: loadSystemSegment("ldtr"),
  ltr: loadSystemSegment("tr"),
  sldt: storeSystemSegment("ldtr"),
  str: storeSystemSegment("tr"),
  lar: inspect("lar"),
  lsl: inspect("lsl"),
  verr: inspect("verr"),
  verw: inspect("verw"),
  cpuid,
  rdmsr,
  wrmsr,
  rdtsc,
  rdtscp,
  rdpid,
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
  clts,
  smsw,
  lmsw,
  wbinvd: privilegedNop,
  invd: privilegedNop,
  vmcall,
  toolong,
};

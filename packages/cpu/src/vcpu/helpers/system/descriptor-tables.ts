import * as S from "../../../state.js";
import type { Helper } from "../../context/helper.js";
import { effectiveAddress, readOperand, writeOperand } from "../../memory/operands.js";
import { canonicalAtWidest } from "../../registers/canonical.js";
import { ATTR_P, EFER_LMA, Vector } from "../../registers/constants.js";
import { add64, type Halves } from "../../registers/halves.js";
import type { TableRegister } from "../../registers/registers.js";
import { attributesOfDescriptor, baseOf, dpl, limitOf, readDescriptor } from "../../segments/segments.js";
import { done, FAULT, NEXT, privileged, suppressed, umip, undefinedOpcode, vetoed } from "../common.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const value: Halves = { lo: 0, hi: 0 };

const loadTable =
  (name: "gdtr" | "idtr"): Helper =>
  (vcpu, { insn }) => {
    if (!privileged(vcpu)) return FAULT;
    if (vetoed(vcpu, vcpu.hooks.descriptorTable?.(name, true))) return suppressed(vcpu);
    if (!effectiveAddress(vcpu, insn, value, vcpu.mode === 64 ? 10 : 6, false)) return FAULT;
    const { lo, hi } = value;
    const { linear } = vcpu;
    if (!linear.read(lo, hi, 2, found)) return FAULT;
    const limit = found.lo;
    if (!linear.read((lo + 2) | 0, hi, vcpu.mode === 64 ? 8 : 4, found)) return FAULT;
    if (vcpu.mode === 64 && !canonicalAtWidest(vcpu, found.hi)) return done(vcpu.raiseError(Vector.GP, 0));
    const table: TableRegister = vcpu[name];
    table.limit = limit;
    table.baseLo = vcpu.mode !== 64 && insn.opSize === 2 ? found.lo & 0xffffff : found.lo;
    table.baseHi = found.hi;
    return NEXT;
  };

const storeTable =
  (name: "gdtr" | "idtr"): Helper =>
  (vcpu, { insn }) => {
    if (!umip(vcpu)) return FAULT;
    if (vetoed(vcpu, vcpu.hooks.descriptorTable?.(name, false))) return suppressed(vcpu);
    if (!effectiveAddress(vcpu, insn, value, vcpu.mode === 64 ? 10 : 6, true)) return FAULT;
    const { lo, hi } = value;
    const { limit, baseLo, baseHi } = vcpu[name];
    if (!vcpu.linear.write(lo, hi, 2, limit, 0)) return FAULT;
    return done(vcpu.linear.write((lo + 2) | 0, hi, vcpu.mode === 64 ? 8 : 4, baseLo, baseHi));
  };

/** LLDT and LTR: system descriptors are 16 bytes in long mode, where bits 8-12 of the last doubleword are zero. SDM vol. 3, 7.2.3. */
const loadSystemSegment =
  (name: "ldtr" | "tr"): Helper =>
  (vcpu, { insn }) => {
    if (!vcpu.protectedMode) return undefinedOpcode(vcpu);
    if (!privileged(vcpu)) return FAULT;
    if (vetoed(vcpu, vcpu.hooks.descriptorTable?.(name, true))) return suppressed(vcpu);
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
    const long = (vcpu.efer & EFER_LMA) !== 0;
    let baseHi = 0;
    if (long) {
      if ((selector & 0xfff8) + 15 > vcpu.gdtr.limit) return done(vcpu.raiseError(Vector.GP, selector & 0xfffc));
      add64(value, d.atLo, d.atHi, 8, 0);
      if (!vcpu.linear.readSystem(value.lo, value.hi, 8, found)) return FAULT;
      baseHi = found.lo;
      if (found.hi & 0x1f00) return done(vcpu.raiseError(Vector.GP, selector & 0xfffc));
    }
    const attributes = attributesOfDescriptor(d);
    const type = attributes & 0x1f;
    const right = name === "ldtr" ? type === 2 : type === 9 || (!long && type === 1);
    if (!right) return done(vcpu.raiseError(Vector.GP, selector & 0xfffc));
    if (!(attributes & ATTR_P)) return done(vcpu.raiseError(Vector.NP, selector & 0xfffc));
    if (!canonicalAtWidest(vcpu, baseHi)) return done(vcpu.raiseError(Vector.GP, selector & 0xfffc));
    const busy = name === "tr" ? attributes | 2 : attributes;
    if (name === "tr" && !vcpu.linear.writeSystem((d.atLo + 5) | 0, d.atHi, 1, busy & 0xff)) return FAULT;
    vcpu[name] = { selector, baseLo: baseOf(d), baseHi, limit: limitOf(d), attributes: busy };
    return NEXT;
  };

const storeSystemSegment =
  (name: "ldtr" | "tr"): Helper =>
  (vcpu, { insn }) => {
    if (!vcpu.protectedMode) return undefinedOpcode(vcpu);
    if (!umip(vcpu)) return FAULT;
    if (vetoed(vcpu, vcpu.hooks.descriptorTable?.(name, false))) return suppressed(vcpu);
    return done(writeOperand(vcpu, insn, 0, vcpu[name].selector, 0));
  };

/** LAR LSL VERR VERW: reads a descriptor without faulting on its contents. SDM vol. 2. */
const inspect =
  (what: "lar" | "lsl" | "verr" | "verw"): Helper =>
  (vcpu, { insn }) => {
    if (!vcpu.protectedMode) return undefinedOpcode(vcpu);
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
    const result = what === "lar" ? d.hi & 0xffff00 : limitOf(d) | 0;
    writeOperand(vcpu, insn, 0, result, 0);
    return setZf(true);
  };

/** ARPL: raises the RPL of operand 0 to that of operand 1. SDM vol. 2. */
const arpl: Helper = (vcpu, { insn }) => {
  if (!vcpu.protectedMode) return undefinedOpcode(vcpu);
  if (!readOperand(vcpu, insn, 0, value)) return FAULT;
  const selector = value.lo & 0xffff;
  const rpl = vcpu.regLo(insn.operands[1].reg) & 3;
  const raised = (selector & 3) < rpl;
  if (raised && !writeOperand(vcpu, insn, 0, (selector & ~3) | rpl, 0)) return FAULT;
  vcpu.rflags = raised ? vcpu.rflags | S.ZF : vcpu.rflags & ~S.ZF;
  return NEXT;
};

export const DESCRIPTOR_HELPERS: Readonly<Record<string, Helper>> = {
  lgdt: loadTable("gdtr"),
  lidt: loadTable("idtr"),
  sgdt: storeTable("gdtr"),
  sidt: storeTable("idtr"),
  lldt: loadSystemSegment("ldtr"),
  ltr: loadSystemSegment("tr"),
  sldt: storeSystemSegment("ldtr"),
  str: storeSystemSegment("tr"),
  arpl,
  lar: inspect("lar"),
  lsl: inspect("lsl"),
  verr: inspect("verr"),
  verw: inspect("verw"),
};

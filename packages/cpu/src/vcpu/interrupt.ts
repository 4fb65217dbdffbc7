import * as S from "../state.js";
import { ATTR_CONFORMING, ATTR_DB, ATTR_P, EFER_LMA, Seg, Vector } from "./constants.js";
import {
  attributesOfDescriptor,
  checkCode,
  dpl,
  installCode,
  installStack,
  nullStack,
  readDescriptor,
  type SegmentCache,
} from "./segments.js";
import type { Vcpu } from "./vcpu.js";

/** An event to be delivered through the IDT. */
export interface Pending {
  readonly vector: number;
  readonly errorCode: number | null;
  /** `software`: INT n, INT3, INTO, whose gate's DPL is checked. */
  readonly kind: "exception" | "interrupt" | "software";
  /** A #GP that becomes #SS if the instruction accessed the stack. */
  readonly nonCanonical?: boolean;
  readonly cr2Lo?: number;
  readonly cr2Hi?: number;
}

/** Contributory exceptions (SDM vol. 3, table 6-4). */
const isContributory = (v: number): boolean => v === Vector.DE || (v >= Vector.TS && v <= Vector.GP);

/**
 * Delivers `event`; exceptions on the way become a double fault as SDM vol. 3, table 6-5 says.
 * @param at where a fault during a software interrupt returns to: the instruction itself
 * @returns false for a triple fault
 */
export function deliver(vcpu: Vcpu, event: Pending, at?: readonly [number, number]): boolean {
  let current = event;
  for (;;) {
    vcpu.hooks.inject?.(current.vector, current.errorCode, current.kind);
    if (current.vector === Vector.PF && current.kind === "exception") {
      vcpu.cr2Lo = current.cr2Lo ?? vcpu.cr2Lo;
      vcpu.cr2Hi = current.cr2Hi ?? vcpu.cr2Hi;
    }
    if (enter(vcpu, current)) {
      // A debug handler may use the debug registers (SDM vol. 3, 17.2.4, GD).
      if (current.vector === Vector.DB) vcpu.dr[14] = (vcpu.dr[14] as number) & ~0x2000;
      return true;
    }
    if (vcpu.leaving) {
      // A watched page was touched on the way. Nothing but memory has changed.
      vcpu.forget();
      if (at === undefined) vcpu.redeliver(current);
      else [vcpu.ripLo, vcpu.ripHi] = at;
      return true;
    }
    const next = vcpu.pending as Pending;
    vcpu.forget();
    if (at !== undefined) [vcpu.ripLo, vcpu.ripHi] = at;
    if (current.vector === Vector.DF && current.kind === "exception") return false;
    const first = current.kind === "exception" ? current.vector : -1;
    const double =
      (isContributory(first) && isContributory(next.vector)) ||
      (first === Vector.PF && (next.vector === Vector.PF || isContributory(next.vector)));
    current = double ? { vector: Vector.DF, errorCode: 0, kind: "exception" } : next;
  }
}

function enter(vcpu: Vcpu, event: Pending): boolean {
  if (!(vcpu.cr0 & 1)) return enterReal(vcpu, event);
  return vcpu.efer & EFER_LMA ? enterLong(vcpu, event) : enterProtected(vcpu, event);
}

/** RFLAGS as they are pushed: RF is set for faults (SDM vol. 3, 17.3.1.1). */
function pushedFlags(vcpu: Vcpu, event: Pending): number {
  const fault = event.kind === "exception" && event.vector !== Vector.DB && event.vector !== Vector.DF;
  return fault ? vcpu.rflags | S.RF : vcpu.rflags;
}

/** #GP etc. caused by delivering `event` name the vector: IDT bit, and EXT unless software asked. */
const idtError = (event: Pending): number => event.vector * 8 + 2 + (event.kind === "software" ? 0 : 1);

/** SDM vol. 3, 6.14. */
function enterLong(vcpu: Vcpu, event: Pending): boolean {
  const { idtr, linear, cpl } = vcpu;
  const offset = event.vector * 16;
  if (offset + 15 > idtr.limit) return vcpu.raiseError(Vector.GP, idtError(event));
  const at = (idtr.baseLo + offset) | 0;
  const atHi = at >>> 0 < idtr.baseLo >>> 0 ? (idtr.baseHi + 1) | 0 : idtr.baseHi;
  if (!linear.readSystem(at, atHi, 8)) return false;
  const { lo, hi } = linear;
  if (!linear.readSystem((at + 8) | 0, atHi, 8)) return false;
  const targetLo = (lo & 0xffff) | (hi & 0xffff0000);
  const targetHi = linear.lo;
  const type = (hi >>> 8) & 0x1f;
  if (type !== 0x0e && type !== 0x0f) return vcpu.raiseError(Vector.GP, idtError(event));
  if (event.kind === "software" && ((hi >>> 13) & 3) < cpl) return vcpu.raiseError(Vector.GP, idtError(event));
  if (!(hi & 0x8000)) return vcpu.raiseError(Vector.NP, idtError(event));
  const selector = lo >>> 16;
  if ((selector & 0xfffc) === 0) return vcpu.raiseError(Vector.GP, event.kind === "software" ? 0 : 1);
  const d = readDescriptor(vcpu, selector);
  if (d === null) return false;
  const attributes = attributesOfDescriptor(d);
  const newCpl = attributes & ATTR_CONFORMING ? cpl : dpl(attributes);
  if (newCpl > cpl || !checkCode(vcpu, selector, d, newCpl))
    return vcpu.pending ? false : vcpu.raiseError(Vector.GP, selector & 0xfffc);
  const istIndex = hi & 7;
  let spLo: number;
  let spHi: number;
  if (istIndex !== 0 || newCpl < cpl) {
    const field = istIndex !== 0 ? 0x24 + 8 * (istIndex - 1) : 4 + 8 * newCpl;
    if (field + 7 > vcpu.tr.limit) return vcpu.raiseError(Vector.TS, vcpu.tr.selector & 0xfffc);
    const tss = (vcpu.tr.baseLo + field) | 0;
    if (!linear.readSystem(tss, tss >>> 0 < vcpu.tr.baseLo >>> 0 ? vcpu.tr.baseHi + 1 : vcpu.tr.baseHi, 8))
      return false;
    spLo = linear.lo;
    spHi = linear.hi;
  } else {
    spLo = vcpu.regLo(4);
    spHi = vcpu.regHi(4);
  }
  spLo &= ~15;
  const ss = (vcpu.segments[Seg.SS] as SegmentCache).selector;
  const cs = (vcpu.segments[Seg.CS] as SegmentCache).selector;
  const frame: (readonly [number, number])[] = [
    [ss, 0],
    [vcpu.regLo(4), vcpu.regHi(4)],
    [pushedFlags(vcpu, event), 0],
    [cs, 0],
    [vcpu.ripLo, vcpu.ripHi],
  ];
  if (event.errorCode !== null) frame.push([event.errorCode, 0]);
  const access = newCpl === 3;
  for (const [valueLo, valueHi] of frame) {
    const below = (spLo - 8) | 0;
    if (below >>> 0 > spLo >>> 0) spHi = (spHi - 1) | 0;
    spLo = below;
    if (!vcpu.linear.writeAt(spLo, spHi, 8, valueLo, valueHi, access)) return false;
  }
  if (!installCode(vcpu, selector, d, newCpl)) return false;
  if (newCpl < cpl) nullStack(vcpu, newCpl);
  vcpu.setReg(4, spLo, spHi);
  clearFlags(vcpu, type === 0x0e);
  vcpu.setRip(targetLo, targetHi);
  return true;
}

/** TF NT RF VM are cleared; IF too by an interrupt gate. */
function clearFlags(vcpu: Vcpu, interruptGate: boolean): void {
  const keep = ~(S.TF | S.NT | S.RF | S.VM | (interruptGate ? S.IF : 0));
  vcpu.setI32(S.FLAGS, vcpu.flags & keep);
  vcpu.updateMode();
}

/** SDM vol. 3, 6.12: 32-bit and 16-bit gates outside long mode. */
function enterProtected(vcpu: Vcpu, event: Pending): boolean {
  const { idtr, linear, cpl } = vcpu;
  const offset = event.vector * 8;
  if (offset + 7 > idtr.limit) return vcpu.raiseError(Vector.GP, idtError(event));
  if (!linear.readSystem((idtr.baseLo + offset) | 0, 0, 8)) return false;
  const { lo, hi } = linear;
  const type = (hi >>> 8) & 0x1f;
  if (type !== 0x0e && type !== 0x0f && type !== 6 && type !== 7) return vcpu.raiseError(Vector.GP, idtError(event));
  if (event.kind === "software" && ((hi >>> 13) & 3) < cpl) return vcpu.raiseError(Vector.GP, idtError(event));
  if (!(hi & 0x8000)) return vcpu.raiseError(Vector.NP, idtError(event));
  const wide = (type & 8) !== 0;
  const target = wide ? (lo & 0xffff) | (hi & 0xffff0000) : lo & 0xffff;
  const selector = lo >>> 16;
  const d = readDescriptor(vcpu, selector);
  if (d === null) return false;
  const attributes = attributesOfDescriptor(d);
  const newCpl = attributes & ATTR_CONFORMING ? cpl : dpl(attributes);
  if (newCpl > cpl) return vcpu.raiseError(Vector.GP, selector & 0xfffc);
  if (!checkCode(vcpu, selector, d, newCpl)) return false;
  const size = wide ? 4 : 2;
  const oldSs = (vcpu.segments[Seg.SS] as SegmentCache).selector;
  const oldSp = vcpu.regLo(4);
  const flags = pushedFlags(vcpu, event);
  const cs = (vcpu.segments[Seg.CS] as SegmentCache).selector;
  let sp = oldSp;
  let stack = vcpu.segments[Seg.SS] as SegmentCache;
  let stackDescriptor = null;
  let newSs = oldSs;
  if (newCpl < cpl) {
    const tss = (vcpu.tr.baseLo + 4 + 8 * newCpl) | 0;
    if (!linear.readSystem(tss, 0, 8)) return false;
    sp = linear.lo;
    newSs = linear.hi & 0xffff;
    stackDescriptor = readDescriptor(vcpu, newSs, Vector.TS);
    if (stackDescriptor === null) return false;
    const a = attributesOfDescriptor(stackDescriptor);
    if (!(a & ATTR_P)) return vcpu.raiseError(Vector.SS, newSs & 0xfffc);
    stack = {
      ...stack,
      baseLo: (stackDescriptor.lo >>> 16) | ((stackDescriptor.hi & 0xff) << 16) | (stackDescriptor.hi & 0xff000000),
      attributes: a,
    };
  }
  const values = newCpl < cpl ? [oldSs, oldSp] : [];
  values.push(flags, cs, vcpu.ripLo);
  if (event.errorCode !== null) values.push(event.errorCode);
  const mask = stack.attributes & ATTR_DB ? -1 : 0xffff;
  for (const value of values) {
    sp = (sp & ~mask) | ((sp - size) & mask);
    if (!linear.writeAt((stack.baseLo + (sp & mask)) | 0, 0, size, value, 0, newCpl === 3)) return false;
  }
  if (!installCode(vcpu, selector, d, newCpl)) return false;
  if (stackDescriptor !== null && !installStack(vcpu, newSs, stackDescriptor)) return false;
  vcpu.setReg(4, sp, 0);
  clearFlags(vcpu, (type & 1) === 0);
  vcpu.setRip(target, 0);
  return true;
}

/** Real mode: the vector table at IDTR.base (SDM vol. 3, 20.1.4). */
function enterReal(vcpu: Vcpu, event: Pending): boolean {
  const { linear, idtr } = vcpu;
  const offset = event.vector * 4;
  if (offset + 3 > idtr.limit) return vcpu.raiseError(Vector.GP, 0);
  if (!linear.readSystem((idtr.baseLo + offset) | 0, 0, 4)) return false;
  const target = linear.lo;
  const stack = vcpu.segments[Seg.SS] as SegmentCache;
  let sp = vcpu.regLo(4);
  for (const value of [vcpu.rflags, (vcpu.segments[Seg.CS] as SegmentCache).selector, vcpu.ripLo]) {
    sp = (sp & ~0xffff) | ((sp - 2) & 0xffff);
    if (!linear.writeAt(stack.baseLo + (sp & 0xffff), 0, 2, value, 0, false)) return false;
  }
  vcpu.setReg(4, sp, 0);
  const selector = target >>> 16;
  vcpu.setSegment(Seg.CS, { ...(vcpu.segments[Seg.CS] as SegmentCache), selector, baseLo: selector << 4 });
  vcpu.setI32(S.FLAGS, vcpu.flags & ~(S.IF | S.TF | S.AC));
  vcpu.updateMode();
  vcpu.setRip(target & 0xffff, 0);
  return true;
}

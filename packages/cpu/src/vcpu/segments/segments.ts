import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import {
  ATTR_ACCESSED,
  ATTR_CODE,
  ATTR_CONFORMING,
  ATTR_DB,
  ATTR_G,
  ATTR_L,
  ATTR_P,
  ATTR_S,
  ATTR_WRITABLE,
  CR0_PE,
  EFER_LMA,
  Seg,
  Vector,
} from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import type { SegmentCache } from "../registers/segment-cache.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** A descriptor as read from its table. */
export interface Descriptor {
  lo: number;
  hi: number;
  /** Linear address of the descriptor. */
  atLo: number;
  atHi: number;
}

export const dpl = (attributes: number): number => (attributes >> 5) & 3;
const attributesOf = (hi: number): number => (hi >>> 8) & 0xf0ff;
export const baseOf = (d: Descriptor): number => (d.lo >>> 16) | ((d.hi & 0xff) << 16) | (d.hi & 0xff000000);
export const limitOf = (d: Descriptor): number => {
  const raw = (d.lo & 0xffff) | (d.hi & 0xf0000);
  return d.hi & 0x800000 ? ((raw << 12) | 0xfff) >>> 0 : raw;
};
export const attributesOfDescriptor = (d: Descriptor): number => attributesOf(d.hi);

/** Reads the descriptor `selector` names; null with #GP(selector) (or `vector`) or a page fault pending. */
export function readDescriptor(vcpu: VcpuContext, selector: number, vector: Vector = Vector.GP): Descriptor | null {
  const { gdtr, ldtr } = vcpu;
  const local = (selector & 4) !== 0;
  const limit = local ? ldtr.limit : gdtr.limit;
  const offset = selector & 0xfff8;
  if (offset + 7 > limit || (local && !(ldtr.attributes & ATTR_P))) {
    vcpu.raiseError(vector, selector & 0xfffc);
    return null;
  }
  const baseLo = local ? ldtr.baseLo : gdtr.baseLo;
  const baseHi = local ? ldtr.baseHi : gdtr.baseHi;
  const atLo = (baseLo + offset) | 0;
  const atHi = atLo >>> 0 < baseLo >>> 0 ? (baseHi + 1) | 0 : baseHi;
  if (!vcpu.linear.readSystem(atLo, atHi, 8, found)) return null;
  return { lo: found.lo, hi: found.hi, atLo, atHi };
}

/** Sets the accessed bit of a descriptor in memory. False with a page fault pending. */
export function markAccessed(vcpu: VcpuContext, d: Descriptor): boolean {
  if (d.hi & (ATTR_ACCESSED << 8)) return true;
  d.hi |= ATTR_ACCESSED << 8;
  return vcpu.linear.writeSystem((d.atLo + 5) | 0, d.atHi, 1, (d.hi >>> 8) & 0xff);
}

/** What `segmentOf` made last, by selector: programs go to and fro between a few segments. */
const made: { lo: number; hi: number; cache: SegmentCache }[] = Array.from({ length: 16 }, () => ({
  lo: 0,
  hi: 0,
  cache: unusable(0),
}));

/** The segment register that `selector` and its descriptor make. */
export function segmentOf(selector: number, d: Descriptor): SegmentCache {
  const last = made[(selector >> 3) & 15] as (typeof made)[number];
  if (last.lo === d.lo && last.hi === d.hi && last.cache.selector === selector) return last.cache;
  last.lo = d.lo;
  last.hi = d.hi;
  last.cache = { selector, baseLo: baseOf(d), baseHi: 0, limit: limitOf(d), attributes: attributesOf(d.hi) };
  return last.cache;
}

/** A segment register that holds a selector and lets nothing through. */
export function unusable(selector: number): SegmentCache {
  return { selector, baseLo: 0, baseHi: 0, limit: 0, attributes: 0 };
}

/**
 * MOV/POP/Lxx to DS ES FS GS SS. SDM vol. 2, MOV; vol. 3, 5.5 and 5.7.
 * @returns false with an exception pending
 */
export function loadSegment(vcpu: VcpuContext, seg: Seg, selector: number): boolean {
  if (!(vcpu.cr0 & CR0_PE) || vcpu.flags & S.VM) {
    const { limit, attributes } = vcpu.segments[seg] as SegmentCache;
    vcpu.setSegment(seg, {
      selector,
      baseLo: selector << 4,
      baseHi: 0,
      limit,
      attributes: vcpu.cr0 & CR0_PE ? 0xf3 : attributes,
    });
    return true;
  }
  const { cpl } = vcpu;
  const rpl = selector & 3;
  if ((selector & 0xfffc) === 0) {
    if (seg === Seg.SS && !(vcpu.mode === 64 && cpl < 3 && rpl === cpl)) return vcpu.raiseError(Vector.GP, 0);
    // The base of FS and GS survives a null selector on AMD only; Intel clears it.
    vcpu.setSegment(seg, {
      selector,
      baseLo: 0,
      baseHi: 0,
      limit: 0,
      attributes: seg === Seg.SS ? (cpl << 5) | 0x4093 : 0,
    });
    return true;
  }
  const d = readDescriptor(vcpu, selector);
  if (d === null) return false;
  const attributes = attributesOf(d.hi);
  const code = attributes & ATTR_CODE;
  const error = selector & 0xfffc;
  if (!(attributes & ATTR_S)) return vcpu.raiseError(Vector.GP, error);
  if (seg === Seg.SS) {
    if (rpl !== cpl || code || !(attributes & ATTR_WRITABLE) || dpl(attributes) !== cpl)
      return vcpu.raiseError(Vector.GP, error);
    if (!(attributes & ATTR_P)) return vcpu.raiseError(Vector.SS, error);
  } else {
    // Bit 1 of a code segment is "readable".
    if (code && !(attributes & ATTR_WRITABLE)) return vcpu.raiseError(Vector.GP, error);
    if (!(code && attributes & ATTR_CONFORMING) && (rpl > dpl(attributes) || cpl > dpl(attributes)))
      return vcpu.raiseError(Vector.GP, error);
    if (!(attributes & ATTR_P)) return vcpu.raiseError(Vector.NP, error);
  }
  if (!markAccessed(vcpu, d)) return false;
  vcpu.setSegment(seg, segmentOf(selector, d));
  return true;
}

/** Checks that a code descriptor may be entered; `newCpl` is the level it will run at. */
export function checkCode(vcpu: VcpuContext, selector: number, d: Descriptor, newCpl: number): boolean {
  const attributes = attributesOf(d.hi);
  const error = selector & 0xfffc;
  if (!(attributes & ATTR_S) || !(attributes & ATTR_CODE)) return vcpu.raiseError(Vector.GP, error);
  if (attributes & ATTR_CONFORMING ? dpl(attributes) > newCpl : dpl(attributes) !== newCpl)
    return vcpu.raiseError(Vector.GP, error);
  if (attributes & ATTR_L && attributes & ATTR_DB && vcpu.efer & EFER_LMA) return vcpu.raiseError(Vector.GP, error);
  if (!(attributes & ATTR_P)) return vcpu.raiseError(Vector.NP, error);
  return true;
}

/** A stack segment by its selector and checked descriptor. */
export interface StackSegment {
  readonly selector: number;
  readonly descriptor: Descriptor;
}

/** SS as a privilege change in long mode leaves it, by the new level: null with that level as RPL. */
const NULL_STACKS: readonly SegmentCache[] = [0, 1, 2, 3].map((cpl) => ({
  selector: cpl,
  baseLo: 0,
  baseHi: 0,
  limit: 0,
  attributes: 0x4093 | (cpl << 5),
}));

/**
 * Installs a checked code descriptor at privilege `cpl`, together with `stack` if the stack changes too: null for the null segment.
 * @returns false with a page fault pending and neither installed
 */
export function installCode(
  vcpu: VcpuContext,
  selector: number,
  d: Descriptor,
  cpl: number,
  stack?: StackSegment | null,
): boolean {
  if (!markAccessed(vcpu, d) || (stack && !markAccessed(vcpu, stack.descriptor))) return false;
  const held = stack === null ? NULL_STACKS[cpl] : vcpu.segments[Seg.SS];
  const ss = stack ? segmentOf(stack.selector, stack.descriptor) : (held as SegmentCache);
  vcpu.setSegments(segmentOf((selector & ~3) | cpl, d), ss);
  return true;
}

/** What `flatSegment` made last, by selector. */
const flat: SegmentCache[] = Array.from({ length: 64 }, () => unusable(0));

/** A flat segment as SYSCALL, SYSRET and SYSENTER install it. */
export function flatSegment(selector: number, attributes: number): SegmentCache {
  const at = selector & 63;
  const all = attributes | ATTR_P | ATTR_G;
  const last = flat[at] as SegmentCache;
  if (last.selector === selector && last.attributes === all) return last;
  const segment = { selector, baseLo: 0, baseHi: 0, limit: 0xffffffff, attributes: all };
  flat[at] = segment;
  return segment;
}

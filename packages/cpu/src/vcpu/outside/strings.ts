import * as S from "../../state.js";
import type { Operands, OutsideOperation } from "./operands.js";

/** SSE4.2 string instructions (SDM vol. 2, 4.1, "Imm8 control byte operation"). The C library's string functions are full of them. */

/** Elements of both operands, and of operand 0 as a set of bytes. Nothing outlives an operation. */
const first = new Int32Array(16);
const second = new Int32Array(16);
const members = new Int32Array(8);

/** Elements: numbers, signed if imm[1] is set; bytes, or words if imm[0] is set. @returns how many lie before the first zero */
function elements({ vcpu, imm }: Operands, at: number, into: Int32Array): number {
  const count = imm & 1 ? 8 : 16;
  let end = count;
  for (let k = count - 1; k >= 0; k--) {
    let value: number;
    if (imm & 1) {
      value = vcpu.u8(at + 2 * k) | (vcpu.u8(at + 2 * k + 1) << 8);
      if (imm & 2) value = (value << 16) >> 16;
    } else {
      value = vcpu.u8(at + k);
      if (imm & 2) value = (value << 24) >> 24;
    }
    into[k] = value;
    if (value === 0) end = k;
  }
  return end;
}

/** As many elements as a length register says: its magnitude, at most all. */
function explicitLength({ vcpu }: Operands, register: number, wide: boolean, most: number): number {
  const lo = vcpu.regLo(register);
  const value = wide ? vcpu.regHi(register) * 2 ** 32 + (lo >>> 0) : lo;
  return Math.min(Math.abs(value), most);
}

/** Equal any: elements of operand 1 that are among those of operand 0. */
function equalAny(words: boolean, la: number, lb: number): number {
  let bits = 0;
  if (words) {
    for (let j = 0; j < lb; j++) for (let i = 0; i < la; i++) if (second[j] === first[i]) bits |= 1 << j;
    return bits;
  }
  members.fill(0);
  for (let i = 0; i < la; i++) {
    const x = (first[i] as number) & 0xff;
    members[x >> 5] = (members[x >> 5] as number) | (1 << (x & 31));
  }
  for (let j = 0; j < lb; j++) {
    const x = (second[j] as number) & 0xff;
    bits |= (((members[x >> 5] as number) >>> (x & 31)) & 1) << j;
  }
  return bits;
}

/** Ranges: elements of operand 1 between two bounds, of which operand 0 has pairs. */
function inRanges(la: number, lb: number): number {
  let bits = 0;
  for (let j = 0; j < lb; j++) {
    const x = second[j] as number;
    for (let i = 0; i + 1 < la; i += 2) if (x >= (first[i] as number) && x <= (first[i + 1] as number)) bits |= 1 << j;
  }
  return bits;
}

/** Equal each; beyond both ends is equal, beyond one is not. */
function equalEach(n: number, la: number, lb: number): number {
  let bits = 0;
  for (let j = 0; j < n; j++) if (j < la && j < lb ? second[j] === first[j] : j >= la && j >= lb) bits |= 1 << j;
  return bits;
}

/** Equal ordered: operand 0 found at an element of operand 1, as far as both reach. */
function equalOrdered(n: number, la: number, lb: number): number {
  let bits = 0;
  for (let j = 0; j < n; j++) {
    let i = 0;
    while (i < la && j + i < n && j + i < lb && second[j + i] === first[i]) i++;
    if (i >= la || j + i >= n) bits |= 1 << j;
  }
  return bits;
}

/** Intermediate result 1: one bit an element of operand 1. */
function aggregate(imm: number, la: number, lb: number): number {
  const n = imm & 1 ? 8 : 16;
  switch ((imm >> 2) & 3) {
    case 0:
      return equalAny((imm & 1) !== 0, la, lb);
    case 1:
      return inRanges(la, lb);
    case 2:
      return equalEach(n, la, lb);
    default:
      return equalOrdered(n, la, lb);
  }
}

/** Doubleword `k` of a mask of elements (imm[6] set), in which every element is all ones or zero. */
function wideMask(bits: number, k: number, words: boolean): number {
  let value = 0;
  for (let byte = 0; byte < 4; byte++)
    if (bits & (1 << (words ? (4 * k + byte) >> 1 : 4 * k + byte))) value |= 0xff << (8 * byte);
  return value;
}

const compare =
  (explicit: boolean, wide: boolean, mask: boolean): OutsideOperation =>
  (o) => {
    const { vcpu, imm } = o;
    const n = imm & 1 ? 8 : 16;
    let la = elements(o, o.dst, first);
    let lb = elements(o, o.src, second);
    if (explicit) {
      la = explicitLength(o, 0, wide, n);
      lb = explicitLength(o, 2, wide, n);
    }
    const all = (1 << n) - 1;
    const raw = aggregate(imm, la, lb);
    // imm[4] negates, for valid elements only if imm[5] is set.
    const bits = imm & 0x10 ? raw ^ (imm & 0x20 ? (1 << lb) - 1 : all) : raw;
    if (mask)
      for (let k = 0; k < 4; k++)
        vcpu.setI32(S.XMM + 4 * k, imm & 0x40 ? wideMask(bits, k, (imm & 1) !== 0) : k === 0 ? bits : 0);
    else {
      const found = 31 - Math.clz32(imm & 0x40 ? bits : bits & -bits);
      vcpu.setReg(1, bits === 0 ? n : found, 0);
    }
    vcpu.rflags =
      (vcpu.rflags & ~S.ARITH) |
      (bits !== 0 ? S.CF : 0) |
      (lb < n ? S.ZF : 0) |
      (la < n ? S.SF : 0) |
      (bits & 1 ? S.OF : 0);
    return true;
  };

export const STRINGS: Readonly<Record<string, OutsideOperation>> = {
  pcmpestrm: compare(true, false, true),
  pcmpestrm64: compare(true, true, true),
  pcmpestri: compare(true, false, false),
  pcmpestri64: compare(true, true, false),
  pcmpistrm: compare(false, false, true),
  pcmpistri: compare(false, false, false),
};

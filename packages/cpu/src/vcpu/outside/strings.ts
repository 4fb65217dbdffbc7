import * as S from "../../state.js";
import type { Operands, OutsideOperation } from "./operands.js";

/** SSE4.2 string instructions (SDM vol. 2, 4.1, "Imm8 control byte operation"). */

/** Elements of an operand: numbers, signed if imm[1] is set; bytes, or words if imm[0] is set. */
function elements(bytes: Uint8Array, imm: number): number[] {
  const view = new DataView(bytes.buffer);
  const signed = (imm & 2) !== 0;
  if (imm & 1)
    return Array.from({ length: 8 }, (_, k) => (signed ? view.getInt16(2 * k, true) : view.getUint16(2 * k, true)));
  return Array.from({ length: 16 }, (_, k) => (signed ? view.getInt8(k) : view.getUint8(k)));
}

/** Valid elements: up to the first zero, or as many as a length register says (its magnitude, at most all). */
const implicitLength = (values: readonly number[]): number => {
  const end = values.indexOf(0);
  return end < 0 ? values.length : end;
};
function explicitLength({ vcpu }: Operands, register: number, wide: boolean, most: number): number {
  const lo = vcpu.regLo(register);
  const hi = vcpu.regHi(register);
  if (!wide) return Math.min(Math.abs(lo), most);
  const value = hi * 2 ** 32 + (lo >>> 0);
  return Math.min(Math.abs(value), most);
}

/** Intermediate result 1: one bit an element of operand 1 (the second source). */
function aggregate(imm: number, a: readonly number[], b: readonly number[], la: number, lb: number): number {
  const n = a.length;
  let bits = 0;
  for (let j = 0; j < n; j++) {
    let hit: boolean;
    const x = b[j] as number;
    switch ((imm >> 2) & 3) {
      case 0:
        // Equal any.
        hit = j < lb && a.some((y, i) => i < la && x === y);
        break;
      case 1:
        // Ranges: pairs of bounds.
        hit = j < lb && a.some((low, i) => (i & 1) === 0 && i + 1 < la && x >= low && x <= (a[i + 1] as number));
        break;
      case 2:
        // Equal each; beyond both ends is equal, beyond one is not.
        hit = j < la && j < lb ? x === a[j] : j >= la && j >= lb;
        break;
      default:
        // Equal ordered: operand 0 found at j, as far as both reach.
        hit = a.every((y, i) => i >= la || j + i >= n || (j + i < lb && b[j + i] === y));
    }
    if (hit) bits |= 1 << j;
  }
  return bits;
}

const compare =
  (explicit: boolean, wide: boolean, mask: boolean): OutsideOperation =>
  (o) => {
    const { vcpu, imm } = o;
    const a = elements(o.aBytes(), imm);
    const b = elements(o.bBytes(), imm);
    const n = a.length;
    const la = explicit ? explicitLength(o, 0, wide, n) : implicitLength(a);
    const lb = explicit ? explicitLength(o, 2, wide, n) : implicitLength(b);
    const all = 2 ** n - 1;
    const raw = aggregate(imm, a, b, la, lb);
    // imm[4] negates, for valid elements only if imm[5] is set.
    const bits = imm & 0x10 ? raw ^ (imm & 0x20 ? 2 ** lb - 1 : all) : raw;
    if (mask) {
      const out = new Uint8Array(16);
      for (let k = 0; k < 16; k++) {
        if (imm & 0x40) out[k] = bits & (1 << (imm & 1 ? k >> 1 : k)) ? 0xff : 0;
        else if (k < 2) out[k] = bits >> (8 * k);
      }
      vcpu.bytes(S.XMM, 16).set(out);
    } else {
      const found = imm & 0x40 ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
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

import type { Insn } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import { checkedLinear, truncateAddress } from "../../memory/operands.js";
import type { Halves } from "../../registers/halves.js";

/** The registers of string instructions: where they point, how far they may go in one go, and how they move on. */

const RCX = 1;

/** More elements than a page has: a count beyond it is as good. */
const MANY = 8192;

/** Exponent of a size of 1, 2, 4 or 8 bytes. */
const shiftOf = (size: number): number => 31 - Math.clz32(size);

/** Elements of `size` bytes between `at` and the end (or, going down, the start) of its page; at least 1. */
function inPage(at: number, size: number, down: boolean): number {
  const offset = at & 0xfff;
  return Math.max(1, (down ? offset + size : 4096 - offset) >> shiftOf(size));
}

/**
 * The linear address of the first element into `out`.
 * @returns how many elements of `n` lie before the index register wraps, the segment ends, or the page does, 1 in a page with breakpoints;
 * 0 with an exception pending
 */
export function pointer(
  vcpu: VcpuContext,
  insn: Insn,
  reg: number,
  seg: number,
  write: boolean,
  n: number,
  out: Halves,
): number {
  const { addrSize, opSize: size } = insn;
  const down = (vcpu.flags & S.DF) !== 0;
  out.lo = vcpu.regLo(reg);
  out.hi = vcpu.regHi(reg);
  truncateAddress(out, addrSize);
  const offset = out.lo;
  if (!checkedLinear(vcpu, seg, out, size, write)) return 0;
  // A trap follows the very iteration that meets a breakpoint.
  if (vcpu.breakpoints.onDataPage(out.lo, out.hi)) return 1;
  const room = inPage(out.lo, size, down);
  if (vcpu.mode === 64 && addrSize === 8) return room < n ? room : n;
  return Math.min(room, beforeEnd(vcpu, insn, offset >>> 0, seg, write, down), n);
}

/** Elements from `offset` on before the index register wraps or, outside 64-bit mode, the segment ends; at least 1. */
function beforeEnd(vcpu: VcpuContext, insn: Insn, offset: number, seg: number, write: boolean, down: boolean): number {
  const { addrSize, opSize: size } = insn;
  let inside = down ? offset + size : 0x100000000 - offset;
  if (vcpu.mode !== 64) {
    const range = S.SEG_RANGE + 16 * seg + (write ? 8 : 0);
    const end = Math.min(vcpu.i32(range + 4) >>> 0, addrSize === 2 ? 0xffff : 0xffffffff);
    inside = down ? offset - (vcpu.i32(range) >>> 0) + size : end + 1 - offset;
  }
  return Math.max(1, Math.floor(inside / size));
}

/** Adds `delta` bytes to an index register of the address size. */
export function advance(vcpu: VcpuContext, reg: number, addrSize: number, delta: number): void {
  const lo = vcpu.regLo(reg);
  const sum = (lo + delta) | 0;
  if (addrSize === 2) vcpu.setU16(S.GPR + 8 * reg, sum);
  else if (addrSize === 4) vcpu.setReg(reg, sum, 0);
  else {
    const carry = delta < 0 ? (sum >>> 0 > lo >>> 0 ? -1 : 0) : sum >>> 0 < lo >>> 0 ? 1 : 0;
    vcpu.setReg(reg, sum, (vcpu.regHi(reg) + carry) | 0);
  }
}

/** The count register, or what is more than a page holds. */
export function count(vcpu: VcpuContext, addrSize: number): number {
  const lo = vcpu.regLo(RCX);
  if (addrSize === 2) return lo & 0xffff;
  if (addrSize === 8 && vcpu.regHi(RCX) !== 0) return MANY;
  return lo < 0 || lo > MANY ? MANY : lo;
}

export function reduceCount(vcpu: VcpuContext, addrSize: number, by: number): void {
  const lo = vcpu.regLo(RCX);
  if (addrSize === 2) vcpu.setU16(S.GPR + 8 * RCX, lo - by);
  else if (addrSize === 4) vcpu.setReg(RCX, (lo - by) | 0, 0);
  else vcpu.setReg(RCX, (lo - by) | 0, (vcpu.regHi(RCX) - (lo >>> 0 < by ? 1 : 0)) | 0);
}

/**
 * RF is set between iterations: no breakpoint of the instruction is met again, and an event that comes meanwhile pushes it so
 * (SDM vol. 3, 17.3.1.1).
 */
export function setResume(vcpu: VcpuContext, between: boolean): void {
  vcpu.setI32(S.FLAGS, between ? vcpu.flags | S.RF : vcpu.flags & ~S.RF);
  vcpu.keepRf = between;
}

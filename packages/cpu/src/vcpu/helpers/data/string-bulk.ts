import type { Insn } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import { Seg } from "../../registers/constants.js";
import { JUMP, NEXT } from "../common.js";
import { advance, count, reduceCount, setResume } from "./string-pointers.js";

/** Elements of string instructions in bulk, in host memory. */

const RSI = 6;
const RDI = 7;

/** Bytes up to which copying them one by one is faster than a call. */
const FEW = 32;

/** Copies elements of `size` bytes one after the other; so that where the ranges overlap with the destination ahead, a pattern is repeated. */
export function copy(memory: Uint8Array, from: number, to: number, bytes: number, size: number, down: boolean): void {
  const ahead = down ? from - to : to - from;
  if (ahead <= 0 || ahead >= bytes) {
    if (bytes > FEW || down) memory.copyWithin(to, from, from + bytes);
    else for (let k = 0; k < bytes; k++) memory[to + k] = memory[from + k] as number;
  } else if (down) for (let k = bytes - size; k >= 0; k -= size) memory.copyWithin(to + k, from + k, from + k + size);
  else if (ahead < size) for (let k = 0; k < bytes; k += size) memory.copyWithin(to + k, from + k, from + k + size);
  else {
    memory.copyWithin(to, from, to);
    repeat(memory, to, ahead, bytes);
  }
}

/** Fills `bytes` bytes with their first `have`. */
function repeat(memory: Uint8Array, to: number, have: number, bytes: number): void {
  for (let done = have; done < bytes; done *= 2) memory.copyWithin(to + done, to, to + Math.min(done, bytes - done));
}

/** Fills `bytes` bytes with elements of `size` bytes. */
export function fill(memory: Uint8Array, to: number, bytes: number, size: number, lo: number, hi: number): void {
  const first = lo & 0xff;
  const word = first * 0x01010101;
  if (size === 1 || (((lo ^ word) & (size === 2 ? 0xffff : -1)) === 0 && (size < 8 || hi === lo))) {
    memory.fill(first, to, to + bytes);
    return;
  }
  for (let k = 0; k < size; k++) memory[to + k] = (k < 4 ? lo >>> (8 * k) : hi >>> (8 * (k - 4))) & 0xff;
  repeat(memory, to, size, bytes);
}

/** What the common case is: 64-bit code that goes up, instruction after instruction. */
const common = (vcpu: VcpuContext, insn: Insn): boolean =>
  vcpu.mode === 64 && insn.addrSize === 8 && insn.seg < Seg.FS && !(vcpu.flags & (S.DF | S.TF)) && !vcpu.singleStep;

/** Elements of `n` that the page at `lo` has room for. */
const roomFor = (lo: number, size: number, n: number): number =>
  Math.min(n, (4096 - (lo & 0xfff)) >> (31 - Math.clz32(size)));

/** What `repeated` does with the registers when `made` of `n` elements are done. */
function moved(vcpu: VcpuContext, insn: Insn, made: number, n: number, source: boolean): number {
  const bytes = made * insn.opSize;
  if (source) advance(vcpu, RSI, 8, bytes);
  advance(vcpu, RDI, 8, bytes);
  if (insn.rep === 0) return NEXT;
  reduceCount(vcpu, 8, made);
  setResume(vcpu, made !== n);
  return made === n ? NEXT : JUMP;
}

/**
 * MOVS in the common case, where both pages have TLB entries: what `repeated` would come to, without asking it all. Nothing that is looked for
 * there is where there are TLB entries: breakpoints, alignment, devices, code.
 * @returns less than 0, with nothing done, in any other case
 */
export function moveCommon(vcpu: VcpuContext, insn: Insn): number {
  if (!common(vcpu, insn)) return -1;
  const n = insn.rep === 0 ? 1 : count(vcpu, 8);
  if (n === 0) return NEXT;
  const size = insn.opSize;
  const from = vcpu.regLo(RSI);
  const to = vcpu.regLo(RDI);
  const made = roomFor(to, size, roomFor(from, size, n));
  if (made === 0) return -1;
  const bytes = made * size;
  const source = vcpu.linear.hostForRead(from, vcpu.regHi(RSI), bytes);
  const target = source === 0 ? 0 : vcpu.linear.hostForWrite(to, vcpu.regHi(RDI), bytes);
  if (target === 0) return -1;
  copy(vcpu.memory, source, target, bytes, size, false);
  return moved(vcpu, insn, made, n, true);
}

/** The same for STOS. */
export function fillCommon(vcpu: VcpuContext, insn: Insn): number {
  if (!common(vcpu, insn)) return -1;
  const n = insn.rep === 0 ? 1 : count(vcpu, 8);
  if (n === 0) return NEXT;
  const size = insn.opSize;
  const to = vcpu.regLo(RDI);
  const made = roomFor(to, size, n);
  const target = made === 0 ? 0 : vcpu.linear.hostForWrite(to, vcpu.regHi(RDI), made * size);
  if (target === 0) return -1;
  fill(vcpu.memory, target, made * size, size, vcpu.regLo(0), vcpu.regHi(0));
  return moved(vcpu, insn, made, n, false);
}

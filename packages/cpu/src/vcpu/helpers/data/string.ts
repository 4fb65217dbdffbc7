import type { Insn } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { checkedLinear, truncateAddress } from "../../memory/operands.js";
import { Seg } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { evenParity } from "../../registers/rflags.js";
import { FAULT, JUMP, NEXT } from "../common.js";
import { portAllowed, portRead, portWrite } from "./io.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;

const source: Halves = { lo: 0, hi: 0 };
const target: Halves = { lo: 0, hi: 0 };

/**
 * The linear address of the first element into `out`.
 * @returns how many elements of `n` lie before the index register wraps, the segment ends, or the page does, 1 in a page with breakpoints;
 * 0 with an exception pending
 */
function pointer(
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
  const offset = out.lo >>> 0;
  if (!checkedLinear(vcpu, seg, out, size, write)) return 0;
  // A trap follows the very iteration that meets a breakpoint.
  if (vcpu.breakpoints.onDataPage(out.lo, out.hi)) return 1;
  let room = inPage(out.lo, size, down);
  if (vcpu.mode !== 64) {
    const range = S.SEG_RANGE + 16 * seg + (write ? 8 : 0);
    const end = Math.min(vcpu.i32(range + 4) >>> 0, addrSize === 2 ? 0xffff : 0xffffffff);
    const inside = down ? offset - (vcpu.i32(range) >>> 0) + size : end + 1 - offset;
    room = Math.min(room, Math.max(1, Math.floor(inside / size)));
  } else if (addrSize === 4) {
    const inside = down ? offset + size : 0x100000000 - offset;
    room = Math.min(room, Math.max(1, Math.floor(inside / size)));
  }
  return Math.min(room, n);
}

/** Adds `delta` bytes to an index register of the address size. */
function advance(vcpu: VcpuContext, reg: number, addrSize: number, delta: number): void {
  const lo = vcpu.regLo(reg);
  const sum = (lo >>> 0) + delta;
  if (addrSize === 2) vcpu.setU16(S.GPR + 8 * reg, lo + delta);
  else if (addrSize === 4) vcpu.setReg(reg, sum | 0, 0);
  else vcpu.setReg(reg, sum | 0, (vcpu.regHi(reg) + (sum < 0 ? -1 : sum > 0xffffffff ? 1 : 0)) | 0);
}

/** The count register, saturated to 2^32 - 1. */
function count(vcpu: VcpuContext, addrSize: number): number {
  if (addrSize === 2) return vcpu.regLo(RCX) & 0xffff;
  if (addrSize === 8 && vcpu.regHi(RCX) !== 0) return 0xffffffff;
  return vcpu.regLo(RCX) >>> 0;
}

function reduceCount(vcpu: VcpuContext, addrSize: number, by: number): void {
  const lo = vcpu.regLo(RCX);
  if (addrSize === 2) vcpu.setU16(S.GPR + 8 * RCX, lo - by);
  else if (addrSize === 4) vcpu.setReg(RCX, (lo - by) | 0, 0);
  else vcpu.setReg(RCX, (lo - by) | 0, (vcpu.regHi(RCX) - (lo >>> 0 < by ? 1 : 0)) | 0);
}

/**
 * RF is set between iterations: no breakpoint of the instruction is met again, and an event that comes meanwhile pushes it so
 * (SDM vol. 3, 17.3.1.1).
 */
function setResume(vcpu: VcpuContext, between: boolean): void {
  vcpu.setI32(S.FLAGS, between ? vcpu.flags | S.RF : vcpu.flags & ~S.RF);
  vcpu.keepRf = between;
}

/** Elements of `size` bytes between `at` and the end (or, going down, the start) of its page; at least 1. */
function inPage(at: number, size: number, down: boolean): number {
  const offset = at & 0xfff;
  const room = down ? Math.floor((offset + size) / size) : Math.floor((4096 - offset) / size);
  return Math.max(1, Math.min(room, 4096));
}

/**
 * One chunk of a string instruction: at most `n` elements, none of which crosses a page.
 * Returns the elements done; fewer than `n` for a condition that ends it; -1 with an exception pending and nothing changed.
 */
type Chunk = (vcpu: VcpuContext, insn: Insn, n: number, down: boolean) => number;

interface StringOp {
  readonly usesSource: boolean;
  readonly usesTarget: boolean;
  /** REPE/REPNE end on ZF. */
  readonly compares: boolean;
  /** Transfers to or from the port in DX. */
  readonly port: boolean;
  readonly chunk: Chunk;
}

/**
 * A repeated instruction runs in chunks that end at page boundaries, each of which retires as one instruction: interrupts are taken
 * between chunks, with the registers saying how far it got (SDM vol. 2, REP).
 */
const repeated =
  (op: StringOp): Helper =>
  (vcpu, { insn }) => {
    const { addrSize, opSize: size } = insn;
    const down = (vcpu.flags & S.DF) !== 0;
    // Asked even if there is nothing to transfer (recorded from hardware).
    if (op.port && !portAllowed(vcpu, vcpu.regLo(RDX) & 0xffff, size)) return FAULT;
    let n = insn.rep === 0 ? 1 : count(vcpu, addrSize);
    if (n === 0) return NEXT;
    const wanted = n;
    if (op.usesTarget && op.compares) n = pointer(vcpu, insn, RDI, Seg.ES, false, n, target);
    if (n > 0 && op.usesSource) n = pointer(vcpu, insn, RSI, insn.seg, false, n, source);
    if (n > 0 && op.usesTarget && !op.compares) n = pointer(vcpu, insn, RDI, Seg.ES, true, n, target);
    if (n === 0) return FAULT;
    if (vcpu.flags & S.TF || vcpu.singleStep) n = 1;
    const made = op.chunk(vcpu, insn, n, down);
    if (made < 0) return FAULT;
    const delta = (down ? -size : size) * made;
    if (op.usesSource) advance(vcpu, RSI, addrSize, delta);
    if (op.usesTarget) advance(vcpu, RDI, addrSize, delta);
    if (insn.rep === 0) return NEXT;
    reduceCount(vcpu, addrSize, made);
    const ended = op.compares && ((vcpu.rflags & S.ZF) !== 0) !== (insn.rep === 0xf3);
    setResume(vcpu, made !== wanted && !ended);
    // Looked up and charged again, also where the instruction spans two pages.
    return made === wanted || ended ? NEXT : JUMP;
  };

/** Host address for writing, after making sure that it can be written; 0 = not plain memory; -1 = fault pending. */
function writable(vcpu: VcpuContext, at: Halves, bytes: number, size: number, down: boolean): number {
  const lo = down ? (at.lo - bytes + size) | 0 : at.lo;
  const host = vcpu.linear.hostForWrite(lo, at.hi, bytes);
  if (host !== 0) return host;
  if (!vcpu.linear.probeWrite(lo, at.hi)) return -1;
  return vcpu.linear.hostForWrite(lo, at.hi, bytes);
}

const plain = (n: number, size: number): boolean => n > 1 && n * size <= 4096;

const movs: Chunk = (vcpu, insn, n, down) => {
  const size = insn.opSize;
  const { linear, memory } = vcpu;
  const bytes = n * size;
  if (plain(n, size)) {
    const from = linear.hostForPlainRead(down ? (source.lo - bytes + size) | 0 : source.lo, source.hi, bytes);
    if (from < 0) return -1;
    if (from > 0) {
      const to = writable(vcpu, target, bytes, size, down);
      if (to < 0) return -1;
      if (to > 0) {
        // Overlapping with the destination ahead repeats a pattern: element by element.
        const overlaps = down ? to < from && to + bytes > from : to > from && to < from + bytes;
        if (!overlaps) memory.copyWithin(to, from, from + bytes);
        else if (down)
          for (let k = bytes - size; k >= 0; k -= size) memory.copyWithin(to + k, from + k, from + k + size);
        else for (let k = 0; k < bytes; k += size) memory.copyWithin(to + k, from + k, from + k + size);
        return n;
      }
    }
  }
  if (!linear.read(source.lo, source.hi, size, found)) return -1;
  return linear.write(target.lo, target.hi, size, found.lo, found.hi) ? 1 : -1;
};

const stos: Chunk = (vcpu, insn, n, down) => {
  const size = insn.opSize;
  const { memory } = vcpu;
  const lo = vcpu.regLo(RAX);
  const hi = vcpu.regHi(RAX);
  const bytes = n * size;
  if (plain(n, size)) {
    const to = writable(vcpu, target, bytes, size, down);
    if (to < 0) return -1;
    if (to > 0) {
      if (size === 1) memory.fill(lo & 0xff, to, to + bytes);
      else {
        for (let k = 0; k < size; k++) memory[to + k] = (k < 4 ? lo >>> (8 * k) : hi >>> (8 * (k - 4))) & 0xff;
        for (let have = size; have < bytes; have *= 2)
          memory.copyWithin(to + have, to, to + Math.min(have, bytes - have));
      }
      return n;
    }
  }
  return vcpu.linear.write(target.lo, target.hi, size, lo, hi) ? 1 : -1;
};

/** `n` if the page of `at` is plain memory, 1 if a device sees every read; -1 with an exception pending. */
function readable(vcpu: VcpuContext, at: Halves, n: number): number {
  if (n === 1) return 1;
  const host = vcpu.linear.hostForPlainRead(at.lo, at.hi, 1);
  return host < 0 ? -1 : host === 0 ? 1 : n;
}

const lods: Chunk = (vcpu, insn, most, down) => {
  const size = insn.opSize;
  const n = readable(vcpu, source, most);
  if (n < 0) return -1;
  // Of plain memory only the last element matters.
  const skip = (n - 1) * (down ? -size : size);
  if (!vcpu.linear.read((source.lo + skip) | 0, source.hi, size, found)) return -1;
  const { lo, hi } = found;
  if (size === 1) vcpu.setU8(S.GPR, lo);
  else if (size === 2) vcpu.setU16(S.GPR, lo);
  else vcpu.setReg(RAX, lo, size === 8 ? hi : 0);
  return n;
};

/** Flags of `a - b`, set from TypeScript. */
function compare(vcpu: VcpuContext, size: number, aLo: number, aHi: number, bLo: number, bHi: number): void {
  const bits = 8 * size;
  let rLo = (aLo - bLo) | 0;
  let rHi = 0;
  let cf: boolean;
  let sf: boolean;
  let of: boolean;
  if (size === 8) {
    const borrow = aLo >>> 0 < bLo >>> 0 ? 1 : 0;
    rHi = (aHi - bHi - borrow) | 0;
    cf = aHi === bHi ? borrow === 1 : aHi >>> 0 < bHi >>> 0;
    sf = rHi < 0;
    of = ((aHi ^ bHi) & (aHi ^ rHi)) < 0;
  } else {
    const shift = 32 - bits;
    const a = aLo << shift;
    const b = bLo << shift;
    const r = (a - b) | 0;
    cf = a >>> 0 < b >>> 0;
    sf = r < 0;
    of = ((a ^ b) & (a ^ r)) < 0;
    rLo = r >>> shift;
  }
  vcpu.rflags =
    (vcpu.rflags & ~S.ARITH) |
    (cf ? S.CF : 0) |
    (evenParity(rLo) ? S.PF : 0) |
    ((aLo ^ bLo ^ rLo) & 0x10 ? S.AF : 0) |
    ((rLo | rHi) === 0 ? S.ZF : 0) |
    (sf ? S.SF : 0) |
    (of ? S.OF : 0);
}

/** The pair that is compared. */
const a: Halves = { lo: 0, hi: 0 };
const b: Halves = { lo: 0, hi: 0 };

/** Scans or compares until the condition of the prefix fails; `next` yields the pair of element `k` into `a` and `b`. */
function until(vcpu: VcpuContext, insn: Insn, n: number, next: (k: number) => boolean): number {
  const stopOnEqual = insn.rep === 0xf2;
  for (let k = 0; k < n; k++) {
    if (!next(k)) {
      // Elements before this one are done; their flags stand.
      if (k > 0) {
        vcpu.forget();
        next(k - 1);
        compare(vcpu, insn.opSize, a.lo, a.hi, b.lo, b.hi);
        return k;
      }
      return -1;
    }
    const equal = a.lo === b.lo && a.hi === b.hi;
    if (equal === stopOnEqual || k === n - 1) {
      compare(vcpu, insn.opSize, a.lo, a.hi, b.lo, b.hi);
      return k + 1;
    }
  }
  return n;
}

const scas: Chunk = (vcpu, insn, most, down) => {
  const size = insn.opSize;
  const n = readable(vcpu, target, most);
  if (n < 0) return -1;
  const mask = size === 1 ? 0xff : size === 2 ? 0xffff : -1;
  a.lo = vcpu.regLo(RAX) & mask;
  a.hi = size === 8 ? vcpu.regHi(RAX) : 0;
  const { linear } = vcpu;
  return until(vcpu, insn, n, (k) => linear.read((target.lo + (down ? -k : k) * size) | 0, target.hi, size, b));
};

/** The element at ES:rDI is read first (recorded from hardware). */
const cmps: Chunk = (vcpu, insn, most, down) => {
  const size = insn.opSize;
  const { linear } = vcpu;
  let n = readable(vcpu, target, most);
  if (n > 0) n = readable(vcpu, source, n);
  if (n < 0) return -1;
  return until(vcpu, insn, n, (k) => {
    const delta = (down ? -k : k) * size;
    return (
      linear.read((target.lo + delta) | 0, target.hi, size, b) &&
      linear.read((source.lo + delta) | 0, source.hi, size, a)
    );
  });
};

const ins: Chunk = (vcpu, insn) => {
  const port = vcpu.regLo(RDX) & 0xffff;
  if (!vcpu.linear.probeWrite(target.lo, target.hi)) return -1;
  const value = portRead(vcpu, port, insn.opSize);
  return value !== null && vcpu.linear.write(target.lo, target.hi, insn.opSize, value, 0) ? 1 : -1;
};

const outs: Chunk = (vcpu, insn) => {
  const port = vcpu.regLo(RDX) & 0xffff;
  if (!vcpu.linear.read(source.lo, source.hi, insn.opSize, found)) return -1;
  return portWrite(vcpu, port, insn.opSize, found.lo >>> 0) ? 1 : -1;
};

type Kind = "copies" | "compares" | "port";
const op = (chunk: Chunk, usesSource: boolean, usesTarget: boolean, kind: Kind = "copies"): Helper =>
  repeated({ chunk, usesSource, usesTarget, compares: kind === "compares", port: kind === "port" });

export const STRING_HELPERS: Readonly<Record<string, Helper>> = {
  movs: op(movs, true, true),
  stos: op(stos, false, true),
  lods: op(lods, true, false),
  scas: op(scas, false, true, "compares"),
  cmps: op(cmps, true, true, "compares"),
  ins: op(ins, false, true, "port"),
  outs: op(outs, true, false, "port"),
};

import type { Insn } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { Seg } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { FAULT, JUMP, NEXT } from "../common.js";
import { portAllowed, portRead, portWrite } from "./io.js";
import { copy, fill, fillCommon, moveCommon } from "./string-bulk.js";
import { compareElements, scanElements } from "./string-compare.js";
import { advance, count, pointer, reduceCount, setResume } from "./string-pointers.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const RAX = 0;
const RDX = 2;
const RSI = 6;
const RDI = 7;

const source: Halves = { lo: 0, hi: 0 };
const target: Halves = { lo: 0, hi: 0 };

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

/**
 * Host address for writing to plain memory, where code that was decoded from it is void; 0 = not plain memory; -1 = fault pending. How many elements are one chunk, and so
 * one instruction, must not depend on what has been decoded.
 */
function writable(vcpu: VcpuContext, at: Halves, bytes: number, size: number, down: boolean): number {
  return vcpu.linear.hostForPlainWrite(down ? (at.lo - bytes + size) | 0 : at.lo, at.hi, bytes);
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
        copy(memory, from, to, bytes, size, down);
        return n;
      }
    }
  }
  if (!linear.read(source.lo, source.hi, size, found)) return -1;
  return linear.write(target.lo, target.hi, size, found.lo, found.hi) ? 1 : -1;
};

const stos: Chunk = (vcpu, insn, n, down) => {
  const size = insn.opSize;
  const lo = vcpu.regLo(RAX);
  const hi = vcpu.regHi(RAX);
  const bytes = n * size;
  if (plain(n, size)) {
    const to = writable(vcpu, target, bytes, size, down);
    if (to < 0) return -1;
    if (to > 0) {
      fill(vcpu.memory, to, bytes, size, lo, hi);
      return n;
    }
  }
  return vcpu.linear.write(target.lo, target.hi, size, lo, hi) ? 1 : -1;
};

const lods: Chunk = (vcpu, insn, most, down) => {
  const size = insn.opSize;
  const host = most > 1 ? vcpu.linear.hostForPlainRead(source.lo, source.hi, 1) : 0;
  if (host < 0) return -1;
  const n = host === 0 ? 1 : most;
  // Of plain memory only the last element matters; a device sees every read.
  const skip = (n - 1) * (down ? -size : size);
  if (!vcpu.linear.read((source.lo + skip) | 0, source.hi, size, found)) return -1;
  const { lo, hi } = found;
  if (size === 1) vcpu.setU8(S.GPR, lo);
  else if (size === 2) vcpu.setU16(S.GPR, lo);
  else vcpu.setReg(RAX, lo, size === 8 ? hi : 0);
  return n;
};

const scas: Chunk = (vcpu, insn, most, down) => scanElements(vcpu, insn, target, most, down);

const cmps: Chunk = (vcpu, insn, most, down) => compareElements(vcpu, insn, source, target, most, down);

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

/** `helper` where the common case is not at hand. */
const unless =
  (common: (vcpu: VcpuContext, insn: Insn) => number, helper: Helper): Helper =>
  (vcpu, site) => {
    const result = common(vcpu, site.insn);
    return result < 0 ? helper(vcpu, site) : result;
  };

export const STRING_HELPERS: Readonly<Record<string, Helper>> = {
  movs: unless(moveCommon, op(movs, true, true)),
  stos: unless(fillCommon, op(stos, false, true)),
  lods: op(lods, true, false),
  scas: op(scas, false, true, "compares"),
  cmps: op(cmps, true, true, "compares"),
  ins: op(ins, false, true, "port"),
  outs: op(outs, true, false, "port"),
};

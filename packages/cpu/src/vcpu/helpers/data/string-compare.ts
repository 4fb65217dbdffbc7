import type { Insn } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Halves } from "../../registers/halves.js";
import { evenParity } from "../../registers/rflags.js";

/** The pair that is compared. */
const a: Halves = { lo: 0, hi: 0 };
const b: Halves = { lo: 0, hi: 0 };

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

/** The element of `size` bytes at host address `at`, zero-extended. */
function element(memory: Uint8Array, at: number, size: number, out: Halves): void {
  out.hi = 0;
  out.lo = memory[at] as number;
  if (size === 1) return;
  out.lo |= (memory[at + 1] as number) << 8;
  if (size === 2) return;
  out.lo |= ((memory[at + 2] as number) << 16) | ((memory[at + 3] as number) << 24);
  if (size === 8) {
    const high = (memory[at + 4] as number) | ((memory[at + 5] as number) << 8);
    out.hi = high | ((memory[at + 6] as number) << 16) | ((memory[at + 7] as number) << 24);
  }
}

/** Elements of plain memory from host address `at` on, `step` bytes apart, up to the first whose equality with `a` is `wanted`; at most `n`. */
function scan(memory: Uint8Array, at: number, step: number, n: number, size: number, wanted: boolean): number {
  let k = 0;
  if (size === 1) {
    const { lo } = a;
    for (let from = at; k < n && (memory[from] === lo) !== wanted; from += step) k++;
  } else {
    for (let from = at; k < n; from += step, k++) {
      element(memory, from, size, b);
      if ((a.lo === b.lo && a.hi === b.hi) === wanted) break;
    }
  }
  return k < n ? k + 1 : n;
}

function sameElement(memory: Uint8Array, x: number, y: number, size: number): boolean {
  let k = 0;
  while (k < size && memory[x + k] === memory[y + k]) k++;
  return k === size;
}

/** The same for pairs of elements. */
function scanPairs(
  memory: Uint8Array,
  x: number,
  y: number,
  step: number,
  n: number,
  size: number,
  wanted: boolean,
): number {
  let k = 0;
  if (size === 1) for (let at = 0; k < n && (memory[x + at] === memory[y + at]) !== wanted; at += step) k++;
  else for (let at = 0; k < n && sameElement(memory, x + at, y + at, size) !== wanted; at += step) k++;
  return k < n ? k + 1 : n;
}

/** Host address of the first element, if all of it and more are in one page of plain memory; 0 = a device sees every read; -1 = fault pending. */
const plain = (vcpu: VcpuContext, at: Readonly<Halves>): number => vcpu.linear.hostForPlainRead(at.lo, at.hi, 1);

const crosses = (at: Readonly<Halves>, size: number): boolean => (at.lo & 0xfff) + size > 4096;

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

/** `until` over single reads of the accumulator's counterparts, a device's among them. */
function scanEach(vcpu: VcpuContext, insn: Insn, { lo, hi }: Readonly<Halves>, n: number, step: number): number {
  return until(vcpu, insn, n, (k) => vcpu.linear.read((lo + k * step) | 0, hi, insn.opSize, b));
}

/** `until` over single reads of pairs. The element at `target` is read first (recorded from hardware). */
function compareEach(
  vcpu: VcpuContext,
  insn: Insn,
  source: Readonly<Halves>,
  target: Readonly<Halves>,
  n: number,
  step: number,
): number {
  const { linear } = vcpu;
  return until(vcpu, insn, n, (k) => {
    const delta = k * step;
    return (
      linear.read((target.lo + delta) | 0, target.hi, insn.opSize, b) &&
      linear.read((source.lo + delta) | 0, source.hi, insn.opSize, a)
    );
  });
}

/** SCAS of at most `most` elements from `target` on, with the accumulator. See `Chunk`. */
export function scanElements(
  vcpu: VcpuContext,
  insn: Insn,
  target: Readonly<Halves>,
  most: number,
  down: boolean,
): number {
  const size = insn.opSize;
  const { memory } = vcpu;
  const step = down ? -size : size;
  a.lo = vcpu.regLo(0) & (size === 1 ? 0xff : size === 2 ? 0xffff : -1);
  a.hi = size === 8 ? vcpu.regHi(0) : 0;
  const host = most > 1 ? plain(vcpu, target) : 0;
  if (host < 0) return -1;
  if (host === 0 || crosses(target, size)) return scanEach(vcpu, insn, target, host === 0 ? 1 : most, step);
  const made = scan(memory, host, step, most, size, insn.rep === 0xf2);
  element(memory, host + (made - 1) * step, size, b);
  compare(vcpu, size, a.lo, a.hi, b.lo, b.hi);
  return made;
}

/** CMPS of at most `most` pairs. See `Chunk`. */
export function compareElements(
  vcpu: VcpuContext,
  insn: Insn,
  source: Readonly<Halves>,
  target: Readonly<Halves>,
  most: number,
  down: boolean,
): number {
  const size = insn.opSize;
  const { memory } = vcpu;
  const step = down ? -size : size;
  const y = most > 1 ? plain(vcpu, target) : 0;
  if (y < 0) return -1;
  const x = y > 0 ? plain(vcpu, source) : 0;
  if (x < 0) return -1;
  if (x === 0 || crosses(target, size) || crosses(source, size)) {
    return compareEach(vcpu, insn, source, target, x === 0 ? 1 : most, step);
  }
  const made = scanPairs(memory, x, y, step, most, size, insn.rep === 0xf2);
  element(memory, x + (made - 1) * step, size, a);
  element(memory, y + (made - 1) * step, size, b);
  compare(vcpu, size, a.lo, a.hi, b.lo, b.hi);
  return made;
}

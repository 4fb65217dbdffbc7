import { initialSelectors, type Segments } from "./segments.js";
import { SplitMix } from "./splitmix.js";

/** Where the recorder puts things: the instruction, the data page and the seeded part of it. */
export const CODE_PAGE = 0x10000000;
export const CODE_OFFSET = 0x800;
export const DATA_PAGE = 0x20000000;
export const FS_BASE = DATA_PAGE + 0x400;
export const GS_BASE = DATA_PAGE + 0x800;
const SEEDED_START = 0x600;
const SEEDED_BYTES = 0x400;

/** Bits of code: 64-bit mode; 32 or 16 in compatibility mode. */
export type CodeBits = 16 | 32 | 64;

/** The architectural state around one instruction. 64-bit registers are little-endian bytes. */
export interface CpuState {
  /** 16 general registers of 8 bytes. */
  readonly gpr: Uint8Array;
  /** Offset of RIP from the start of the instruction, in bytes. */
  rip: number;
  rflags: number;
  mxcsr: number;
  fcw: number;
  fsw: number;
  /** Abridged tag word: bit set = register in use. */
  ftw: number;
  /** x87 registers by physical number, 10 bytes each. */
  readonly fpr: Uint8Array;
  /** XMM0-15. */
  readonly xmm: Uint8Array;
  /** ES CS SS DS FS GS. */
  readonly selectors: number[];
  /** The data page. */
  readonly memory: Uint8Array;
}

export function emptyState(bits: CodeBits = 64, segments?: Segments): CpuState {
  return {
    gpr: new Uint8Array(128),
    rip: 0,
    rflags: 0x202,
    mxcsr: 0x1f80,
    fcw: 0x37f,
    fsw: 0,
    ftw: 0,
    fpr: new Uint8Array(80),
    xmm: new Uint8Array(256),
    selectors: initialSelectors(bits, segments),
    memory: new Uint8Array(4096),
  };
}

/** Halves `[hi, lo]` of the constants mixed into general registers, doubles and floats. */
const SPECIAL: readonly (readonly [number, number])[] = [
  [0, 0],
  [0, 1],
  [0, 2],
  [0, 0x7f],
  [0, 0x80],
  [0, 0xff],
  [0, 0x7fff],
  [0, 0x8000],
  [0, 0xffff],
  [0, 0x7fffffff],
  [0, 0x80000000],
  [0, 0xffffffff],
  [0x7fffffff, 0xffffffff],
  [0x80000000, 0],
  [0xffffffff, 0xffffffff],
  [0x55555555, 0x55555555],
];
const SPECIAL_F64: readonly (readonly [number, number])[] = [
  [0, 0],
  [0x80000000, 0],
  [0x3ff00000, 0],
  [0xbff00000, 0],
  [0x7ff00000, 0],
  [0xfff00000, 0],
  [0x7ff80000, 0],
  [0x7ff40000, 1],
  [0, 1],
  [0x000fffff, 0xffffffff],
  [0x00100000, 0],
  [0x7fefffff, 0xffffffff],
  [0x41dfffff, 0xffc00000],
  [0x43e00000, 0],
  [0x3fe00000, 0],
  [0xc1e00000, 0],
];
const SPECIAL_F32: readonly number[] = [
  0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00001, 1, 0x007fffff, 0x00800000,
  0x7f7fffff, 0x4effffff, 0x5f000000, 0x3f000000, 0xcf000000,
];

/** Words of a general register, mixing special values and random ones. */
function drawInteger(x: SplitMix): void {
  const { lo, hi } = x.next();
  if (hi >>> 30 === 0) [x.hi, x.lo] = SPECIAL[hi & 15] as readonly [number, number];
  else if (hi >>> 30 === 1) [x.hi, x.lo] = [0, (lo >>> 8) & 0xff];
  else x.next();
}

/** 8 bytes of a vector or of memory: raw bits, a double or two floats. */
function drawLane(x: SplitMix, kind: number): void {
  const { lo, hi } = x.next();
  if (kind === 0) return;
  if (kind === 1) {
    if (hi >>> 28 < 6) {
      [x.hi, x.lo] = SPECIAL_F64[lo & 15] as readonly [number, number];
      return;
    }
    x.next();
    x.hi = ((x.hi & 0x800fffff) | ((0x3f0 + ((lo >>> 8) & 0x1f)) << 20)) >>> 0;
    return;
  }
  const float = (): number => {
    x.next();
    if (x.hi >>> 28 < 6) return SPECIAL_F32[x.lo & 15] as number;
    return ((x.lo & 0x807fffff) | ((0x78 + (x.hi & 0xf)) << 23)) >>> 0;
  };
  const first = float();
  const second = float();
  [x.lo, x.hi] = [first, second];
}

/**
 * What a vector changes in the state that follows from its seed; values are hexadecimal. 0-15 general registers, 16 RFLAGS, 17 the quadword
 * at data page + 0x800, 18 `Blank`, from 32 the quadwords of the seeded memory.
 */
export type Overrides = Readonly<Record<string, string>>;

/** Numbers of overrides behind those of the general registers. */
export enum Override {
  Flags = 16,
  Qword800 = 17,
  Blank = 18,
  Memory = 32,
}

/**
 * Bits of `Override.Blank`, which sets parts of the state to zero or to their power-on values before all other overrides: general registers
 * (except RSP) from 0, XMM registers from 16, x87 registers (from the top of the stack) from 32, and these; 64-byte pieces of the seeded
 * memory from 48.
 */
export enum Blank {
  Xmm = 16,
  St = 32,
  Flags = 40,
  Mxcsr = 41,
  X87 = 42,
  Memory = 48,
}

const CASE_FLAGS = 0xcd5;

function blank(s: CpuState, mask: bigint): void {
  const has = (bit: number): boolean => ((mask >> BigInt(bit)) & 1n) !== 0n;
  const top = (s.fsw >> 11) & 7;
  for (let k = 0; k < 16; k++) {
    if (has(k) && k !== 4) s.gpr.fill(0, 8 * k, 8 * k + 8);
    if (has(Blank.Xmm + k)) s.xmm.fill(0, 16 * k, 16 * k + 16);
    if (has(Blank.Memory + k)) s.memory.fill(0, SEEDED_START + 64 * k, SEEDED_START + 64 * k + 64);
  }
  for (let k = 0; k < 8; k++) if (has(Blank.St + k)) s.fpr.fill(0, 10 * ((top + k) & 7), 10 * ((top + k) & 7) + 10);
  if (has(Blank.Flags)) s.rflags = 0x202;
  if (has(Blank.Mxcsr)) s.mxcsr = 0x1f80;
  if (!has(Blank.X87)) return;
  [s.fcw, s.fsw, s.ftw] = [0x37f, 0, 0xff];
  // The stack stays as it is seen from the top, which is register 0 now.
  const old = s.fpr.slice();
  for (let k = 0; k < 8; k++) s.fpr.set(old.subarray(10 * ((top + k) & 7), 10 * ((top + k) & 7) + 10), 10 * k);
}

/**
 * The state before the instruction: a function of `seed` (hexadecimal) and the overrides, as the recorder computes it.
 * Vector registers 16-31, upper halves and mask registers are drawn and dropped. In compatibility mode there are 8 registers of
 * 32 bits.
 */
export function initialState(seed: string, overrides: Overrides, bits: CodeBits = 64, segments?: Segments): CpuState {
  const x = new SplitMix(seed);
  const s = emptyState(bits, segments);
  const put = (to: Uint8Array, at: number): void => {
    const view = new DataView(to.buffer);
    view.setUint32(at, x.lo, true);
    view.setUint32(at + 4, x.hi, true);
  };
  for (let k = 0; k < 16; k++) {
    drawInteger(x);
    if (k === 4) [x.lo, x.hi] = [DATA_PAGE + 0x800, 0];
    put(s.gpr, 8 * k);
  }
  const f = x.next();
  s.rflags = 0x202 | (f.lo & 0x8d5) | (((f.lo >>> 20) & 7) === 0 ? 0x400 : 0);
  const m = x.next();
  s.mxcsr =
    0x1f80 | ((m.lo & 3) << 13) | (((m.lo >>> 8) & 7) === 0 ? 0x8000 : 0) | (((m.lo >>> 16) & 7) === 0 ? 0x40 : 0);
  if (((m.lo >>> 24) & 15) === 0) s.mxcsr &= ~(0x80 << (m.hi % 6));
  drawFpu(x, s);
  for (let k = 0; k < 8; k++) drawInteger(x);
  for (let k = 0; k < 32; k++) {
    const { lo, hi } = x.next();
    const kind = ((lo % 3) + (hi % 3)) % 3;
    for (let lane = 0; lane < 8; lane++) {
      drawLane(x, kind);
      if (k < 16 && lane < 2) put(s.xmm, 16 * k + 8 * lane);
    }
  }
  const { lo, hi } = x.next();
  const kind = ((lo % 3) + (hi % 3)) % 3;
  for (let at = 0; at < SEEDED_BYTES; at += 8) {
    drawLane(x, kind);
    put(s.memory, SEEDED_START + at);
  }
  const blanked = overrides[Override.Blank];
  if (blanked !== undefined) blank(s, BigInt(`0x${blanked}`));
  for (const [what, value] of Object.entries(overrides)) {
    const digits = value.padStart(16, "0");
    x.hi = Number.parseInt(digits.slice(0, 8), 16);
    x.lo = Number.parseInt(digits.slice(8), 16);
    const number = Number(what);
    if (number < 16) put(s.gpr, 8 * number);
    else if (number === Override.Flags) s.rflags = (x.lo & CASE_FLAGS) | 0x202;
    else if (number === Override.Qword800) put(s.memory, 0x800);
    else if (number >= Override.Memory) put(s.memory, SEEDED_START + 8 * (number - Override.Memory));
  }
  if (bits !== 64) {
    for (let k = 0; k < 8; k++) s.gpr.fill(0, 8 * k + 4, 8 * k + 8);
    s.gpr.fill(0, 64);
    s.xmm.fill(0, 128);
  }
  return s;
}

function drawFpu(x: SplitMix, s: CpuState): void {
  const { lo, hi } = x.next();
  if ((lo & 3) === 0) {
    const precision = (lo >>> 16) & 3;
    s.fcw = 0x7f | (((lo >>> 8) & 3) << 10) | ((precision === 1 ? 3 : precision) << 8);
  }
  const top = (lo >>> 24) & 7;
  s.fsw = top << 11;
  s.ftw = (hi & 3) === 0 ? (hi >>> 8) & 0xff : 0xff;
  const view = new DataView(s.fpr.buffer);
  for (let k = 0; k < 8; k++) {
    const a = { ...x.next() };
    const b = { ...x.next() };
    // Drawn from the top of the stack, kept by physical number.
    const at = 10 * ((top + k) & 7);
    let [mlo, mhi, exponent] = [b.lo, (b.hi | 0x80000000) >>> 0, 0x3fff - 16 + ((a.lo >>> 8) & 31)];
    const choice = a.lo & 7;
    if (choice === 0) [mlo, mhi, exponent] = [0, 0, 0];
    else if (choice === 1) [mlo, mhi, exponent] = [0, 0x80000000, 0x7fff];
    else if (choice === 2)
      [mlo, mhi, exponent] = [((b.lo >>> 2) | (b.hi << 30)) >>> 0, (0xc0000000 | (b.hi >>> 2)) >>> 0, 0x7fff];
    else if (choice === 3) [mlo, mhi, exponent] = [0, 0x80000000, 0x3fff];
    else if (choice === 4) [mlo, mhi, exponent] = [((b.lo >>> 1) | (b.hi << 31)) >>> 0, b.hi >>> 1, 0];
    view.setUint32(at, mlo, true);
    view.setUint32(at + 4, mhi, true);
    view.setUint16(at + 8, exponent | (a.hi & 0x80000000 ? 0x8000 : 0), true);
  }
}

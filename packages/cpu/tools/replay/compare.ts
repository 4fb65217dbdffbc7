import type { Classified } from "./classify.js";
import type { CpuState } from "./initial-state.js";
import type { Outcome, Raised } from "./recorder-machine.js";

const OF = 0x800;
const ARITHMETIC = 0x8d5;
const ROTATES = new Set(["rol", "ror", "rcl", "rcr"]);
const SHIFTS = new Set(["shl", "sal", "shr", "sar", "shld", "shrd", ...ROTATES]);
const APPROXIMATE = new Set(["rcpps", "rcpss", "rsqrtps", "rsqrtss"]);
/** x87 instructions whose result may be off by one unit in the last place. */
const TRANSCENDENTAL = new Set(["f2xm1", "fyl2x", "fyl2xp1", "fptan", "fpatan", "fsin", "fcos", "fsincos"]);
const C1 = 0x200;

/**
 * Every difference between what was recorded and what the vCPU did, in words; empty if there is none after leaving out what the
 * architecture leaves undefined or approximate.
 */
export function differences(
  insn: Classified,
  before: CpuState,
  expected: CpuState,
  raised: Raised | null,
  got: Outcome,
): string[] {
  const found: string[] = [];
  const note = (what: string, want: string | number, have: string | number): void => {
    found.push(`${what}: recorded ${want}, got ${have}`);
  };
  const { state } = got;
  const wantEvent = describe(raised);
  const haveEvent = describe(got.raised);
  if (wantEvent !== haveEvent) note("exception", wantEvent, haveEvent);
  if (expected.rip !== state.rip) note("rip", expected.rip, state.rip);
  const shifted = shiftCount(insn, before);
  // SHLD and SHRD of 16 bits by more than 16: the destination is undefined as well.
  const lost = insn.mnemonic.startsWith("sh") && insn.mnemonic.endsWith("d") && insn.operandBits === 16 && shifted > 16;
  const flags = lost ? ARITHMETIC : flagsMask(insn, shifted, raised);
  if ((expected.rflags ^ state.rflags) & ~flags) note("rflags", hex(expected.rflags), hex(state.rflags));
  if (!lost) {
    compareBlocks("register", 8, expected.gpr, state.gpr, note);
    compareBlocks("memory", 16, expected.memory, state.memory, note);
  }
  if (APPROXIMATE.has(insn.mnemonic)) compareApproximately(expected.xmm, state.xmm, note);
  else compareBlocks("xmm", 16, expected.xmm, state.xmm, note);
  if (expected.mxcsr !== state.mxcsr) note("mxcsr", hex(expected.mxcsr), hex(state.mxcsr));
  if (expected.fcw !== state.fcw) note("fcw", hex(expected.fcw), hex(state.fcw));
  const transcendental = TRANSCENDENTAL.has(insn.mnemonic);
  const status = insn.undefinedStatus | (transcendental ? C1 : 0);
  if ((expected.fsw ^ state.fsw) & ~status) note("fsw", hex(expected.fsw), hex(state.fsw));
  if (expected.ftw !== state.ftw) note("ftw", hex(expected.ftw), hex(state.ftw));
  if (transcendental) compareFpuClosely(expected.fpr, state.fpr, note);
  else compareBlocks("x87", 10, expected.fpr, state.fpr, note);
  return found;
}

type Note = (what: string, want: string, have: string) => void;

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
const hexBytes = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");

function describe(raised: Raised | null): string {
  if (raised === null) return "none";
  const code = `#${raised.vector} (${hex(raised.errorCode)})`;
  return raised.vector === 14 ? `${code} at ${hex(raised.cr2[1])}:${hex(raised.cr2[0])}` : code;
}

/** Masked count of a shift or rotate, or -1 for any other instruction. */
function shiftCount(insn: Classified, before: CpuState): number {
  if (!SHIFTS.has(insn.mnemonic)) return -1;
  const raw = insn.count >= 0 ? insn.count : (before.gpr[8] as number);
  return raw & (insn.operandBits === 64 ? 63 : 31);
}

/** RFLAGS bits not to be compared: what iced-x86 says, corrected for the count (SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR). */
function flagsMask(insn: Classified, count: number, raised: Raised | null): number {
  if (count === 0) return 0;
  if (raised?.vector === 0) return ARITHMETIC;
  if (raised !== null) return 0;
  return count === 1 ? insn.undefinedFlags & ~OF : count > 1 ? insn.undefinedFlags | OF : insn.undefinedFlags;
}

function compareBlocks(name: string, size: number, want: Uint8Array, have: Uint8Array, note: Note): void {
  for (let at = 0; at < want.length; at += size) {
    const [a, b] = [want.subarray(at, at + size), have.subarray(at, at + size)];
    if (a.some((byte, k) => byte !== b[k]))
      note(`${name} ${name === "memory" ? hex(at) : at / size}`, hexBytes(a), hexBytes(b));
  }
}

/** RCPPS and its kin: relative error at most 1.5 * 2^-12 on either side (SDM vol. 2). */
function compareApproximately(want: Uint8Array, have: Uint8Array, note: Note): void {
  const [a, b] = [new Float32Array(want.slice().buffer), new Float32Array(have.slice().buffer)];
  const [aBits, bBits] = [new Uint32Array(a.buffer), new Uint32Array(b.buffer)];
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[k] as number, b[k] as number];
    if (aBits[k] === bBits[k]) continue;
    if (!(Math.abs(x - y) <= 2 * 1.5 * 2 ** -12 * Math.abs(x))) note(`xmm ${k >> 2} lane ${k & 3}`, `${x}`, `${y}`);
  }
}

/** Significands at most one unit apart, everything else equal. */
function compareFpuClosely(want: Uint8Array, have: Uint8Array, note: Note): void {
  const value = (bytes: Uint8Array, at: number): bigint =>
    bytes.subarray(at, at + 10).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  for (let k = 0; k < 8; k++) {
    const [a, b] = [value(want, 10 * k), value(have, 10 * k)];
    const distance = a > b ? a - b : b - a;
    if (distance > 1n) note(`x87 ${k}`, a.toString(16), b.toString(16));
  }
}

import type { CpuState } from "./initial-state.js";
import type { Outcome, Raised } from "./recorder-machine.js";
import type { Tolerance } from "./tolerance.js";

/**
 * Every difference between what was recorded and what the vCPU did, in words; empty if there is none after leaving out what the
 * architecture leaves undefined or approximate.
 */
export function differences(tolerance: Tolerance, expected: CpuState, raised: Raised | null, got: Outcome): string[] {
  const found: string[] = [];
  const note = (what: string, want: string | number, have: string | number): void => {
    found.push(`${what}: recorded ${want}, got ${have}`);
  };
  const { state } = got;
  const wantEvent = describe(raised);
  const haveEvent = describe(got.raised);
  if (wantEvent !== haveEvent) note("exception", wantEvent, haveEvent);
  if (expected.rip !== state.rip) note("rip", expected.rip, state.rip);
  if ((expected.rflags ^ state.rflags) & ~tolerance.flags) note("rflags", hex(expected.rflags), hex(state.rflags));
  compareBlocks("register", 8, expected.gpr, state.gpr, note);
  compareBlocks("memory", 16, hide(expected.memory, tolerance.memory), hide(state.memory, tolerance.memory), note);
  if (tolerance.approximate) compareApproximately(expected.xmm, state.xmm, note);
  else compareBlocks("xmm", 16, expected.xmm, state.xmm, note);
  const [wanted, had] = [expected, state].map(selectorsOf) as [string, string];
  if (wanted !== had) note("selectors", wanted, had);
  if (expected.mxcsr !== state.mxcsr) note("mxcsr", hex(expected.mxcsr), hex(state.mxcsr));
  if (expected.fcw !== state.fcw) note("fcw", hex(expected.fcw), hex(state.fcw));
  if ((expected.fsw ^ state.fsw) & ~tolerance.status) note("fsw", hex(expected.fsw), hex(state.fsw));
  if (expected.ftw !== state.ftw) note("ftw", hex(expected.ftw), hex(state.ftw));
  if (tolerance.transcendental) compareFpuClosely(expected.fpr, state.fpr, note);
  else compareBlocks("x87", 10, expected.fpr, state.fpr, note);
  return found;
}

/** A null selector is 0: the return to the recorder's handler loses its privilege level (SDM vol. 2, IRET). */
const selectorsOf = ({ selectors }: CpuState): string => selectors.map((s) => hex(s < 4 ? 0 : s)).join(" ");

/** `memory` with zeros where nothing is compared. */
function hide(memory: Uint8Array, ranges: Tolerance["memory"]): Uint8Array {
  if (ranges.length === 0) return memory;
  const copy = memory.slice();
  for (const [from, to] of ranges) copy.fill(0, Math.max(0, from), Math.max(0, to));
  return copy;
}

type Note = (what: string, want: string, have: string) => void;

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
const hexBytes = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");

function describe(raised: Raised | null): string {
  if (raised === null) return "none";
  const code = `#${raised.vector} (${hex(raised.errorCode)})`;
  return raised.vector === 14 ? `${code} at ${hex(raised.cr2[1])}:${hex(raised.cr2[0])}` : code;
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

/** Values at most one unit in the last place apart. */
function compareFpuClosely(want: Uint8Array, have: Uint8Array, note: Note): void {
  const value = (bytes: Uint8Array, at: number): bigint =>
    bytes.subarray(at, at + 10).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  // Without the integer bit the greatest value of an exponent is followed by the least of the next.
  const place = (x: bigint): bigint => ((x >> 64n) << 63n) | (x & 0x7fffffffffffffffn);
  for (let k = 0; k < 8; k++) {
    const [a, b] = [value(want, 10 * k), value(have, 10 * k)];
    if (a === b) continue;
    const distance = place(a) - place(b);
    // A distance of 0 is the integer bit's: another kind of value.
    if (distance !== 1n && distance !== -1n) note(`x87 ${k}`, a.toString(16), b.toString(16));
  }
}

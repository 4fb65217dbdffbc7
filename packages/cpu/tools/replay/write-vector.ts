import type { CodeBits, CpuState, Overrides } from "./initial-state.js";
import type { Outcome } from "./recorder-machine.js";
import { formatSegments, type Segments } from "./segments.js";
import type { Vector } from "./vector.js";
import { hexOf } from "./vector.js";

/** What led to a state. */
export interface Origin {
  readonly id: number;
  readonly seed: string;
  readonly code: Uint8Array;
  readonly instructions: number;
  readonly bits: CodeBits;
  readonly overrides: Overrides;
  readonly segments?: Segments;
}

export const overridesOf = (overrides: ReadonlyMap<number, bigint>): Overrides =>
  Object.fromEntries([...overrides].map(([what, value]) => [what, BigInt.asUintN(64, value).toString(16)]));

const reversed = (bytes: Uint8Array): string => hexOf(bytes.slice().reverse()).replace(/^0+(?=.)/, "");

/** The vector that says how `outcome` differs from `before`, as recorder.c writes it. */
export function vectorOf(origin: Origin, before: CpuState, { state, raised }: Outcome): Vector {
  const { id, seed, code, instructions, bits, overrides } = origin;
  const changedBlocks = (
    size: number,
    old: Uint8Array,
    now: Uint8Array,
    write: (bytes: Uint8Array) => string,
  ): Record<string, string> | undefined => {
    const found: Record<string, string> = {};
    for (let at = 0; at < now.length; at += size) {
      const piece = now.subarray(at, at + size);
      if (piece.some((byte, k) => byte !== old[at + k])) found[at / size] = write(piece);
    }
    return Object.keys(found).length > 0 ? found : undefined;
  };
  const changed = <T>(old: T, now: T): T | undefined => (old === now ? undefined : now);
  const halves = (lo: number, hi: number): string => ((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)).toString(16);
  const all = {
    i: id,
    s: seed,
    c: hexOf(code),
    b: instructions > 1 ? instructions : undefined,
    mode: bits === 64 ? undefined : bits,
    sg: origin.segments === undefined ? undefined : formatSegments(origin.segments),
    o: Object.keys(overrides).length > 0 ? overrides : undefined,
    x:
      raised === null
        ? undefined
        : raised.vector === 14
          ? [raised.vector, raised.errorCode, halves(...raised.cr2)]
          : [raised.vector, raised.errorCode],
    ip: changed(code.length, state.rip),
    g: changedBlocks(8, before.gpr, state.gpr, reversed),
    sl: changedSelectors(before.selectors, state.selectors),
    f: changed(before.rflags, state.rflags),
    z: changedBlocks(16, before.xmm, state.xmm, hexOf),
    mx: changed(before.mxcsr, state.mxcsr),
    fcw: changed(before.fcw, state.fcw),
    fsw: changed(before.fsw, state.fsw),
    ftw: changed(before.ftw, state.ftw),
    st: changedBlocks(10, before.fpr, state.fpr, hexOf),
    m: changedMemory(before.memory, state.memory),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as Vector;
}

function changedSelectors(old: readonly number[], now: readonly number[]): Record<string, string> | undefined {
  const found = now.flatMap((selector, k) => (selector === old[k] ? [] : [[k, selector.toString(16)] as const]));
  return found.length > 0 ? Object.fromEntries(found) : undefined;
}

/** Runs of changed bytes by hexadecimal offset. */
function changedMemory(old: Uint8Array, now: Uint8Array): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  for (let at = 0; at < now.length; at++) {
    let end = at;
    while (end < now.length && end - at < 64 && now[end] !== old[end]) end++;
    if (end === at) continue;
    found[at.toString(16)] = hexOf(now.subarray(at, end));
    at = end - 1;
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

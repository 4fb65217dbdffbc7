import { describe, expect, it } from "vitest";
import { type CpuState, emptyState } from "../tools/replay/initial-state.js";
import { CR0, CR4, RecorderMachine } from "../tools/replay/recorder-machine.js";

const EM = 4;
const TS = 8;
const OSFXSR = 0x200;
const OSXMMEXCPT = 0x400;
const UD = 6;
const NM = 7;
const MF = 16;
const XM = 19;

const ADDPS = [0x0f, 0x58, 0xc1];
/** addps xmm0, [rax], with rax = 0: not mapped. */
const ADDPS_MEMORY = [0x0f, 0x58, 0x00];
const PADDB_XMM = [0x66, 0x0f, 0xfc, 0xc1];
const PADDB_MM = [0x0f, 0xfc, 0xc1];
const MOVQ_STORE_MM = [0x0f, 0x7f, 0x00];
const DIVSD = [0xf2, 0x0f, 0x5e, 0xc1];

const machine = new RecorderMachine();
const run = (code: readonly number[], controls: { cr0?: number; cr4?: number } = {}, state: CpuState = emptyState()) =>
  machine.execute(Uint8Array.from(code), state, controls);
const vectorOf = (...args: Parameters<typeof run>): number | null => run(...args).raised?.vector ?? null;

describe("SSE is undefined or not available as SDM vol. 3, table 13-1 says", () => {
  it.each([
    ["addps", ADDPS],
    ["addps with memory that is not mapped", ADDPS_MEMORY],
    ["paddb", PADDB_XMM],
  ])("%s raises #UD with CR0.EM or without CR4.OSFXSR, #NM with CR0.TS", (_, code) => {
    expect(vectorOf(code, { cr0: CR0 | EM })).toBe(UD);
    expect(vectorOf(code, { cr4: CR4 & ~OSFXSR })).toBe(UD);
    expect(vectorOf(code, { cr0: CR0 | TS })).toBe(NM);
    expect(vectorOf(code, { cr0: CR0 | TS | EM })).toBe(UD);
  });

  it("works otherwise", () => {
    expect(vectorOf(ADDPS)).toBeNull();
    expect(vectorOf(ADDPS_MEMORY)).toBe(14);
  });
});

describe("MMX is undefined or not available as SDM vol. 3, table 12-1 says", () => {
  it.each([
    ["paddb", PADDB_MM],
    ["movq to memory that is not mapped", MOVQ_STORE_MM],
  ])("%s raises #UD with CR0.EM, #NM with CR0.TS, #MF with an unmasked x87 exception pending", (_, code) => {
    expect(vectorOf(code, { cr0: CR0 | EM })).toBe(UD);
    expect(vectorOf(code, { cr0: CR0 | TS })).toBe(NM);
    expect(vectorOf(code, {}, { ...emptyState(), fcw: 0x37e, fsw: 0x8081 })).toBe(MF);
  });

  it("makes every register valid, TOP 0 and the written exponent all ones", () => {
    const { state } = run(PADDB_MM, {}, { ...emptyState(), fsw: 5 << 11, ftw: 0 });
    expect(state.ftw).toBe(0xff);
    expect(state.fsw).toBe(0);
    expect([...state.fpr.subarray(8, 10)]).toEqual([0xff, 0xff]);
  });
});

describe("an unmasked SIMD floating-point exception", () => {
  const byZero = (): CpuState => {
    const state = emptyState();
    // xmm0 = 1.0, xmm1 = 0.0; divide-by-zero unmasked.
    new DataView(state.xmm.buffer).setFloat64(0, 1, true);
    return { ...state, mxcsr: 0x1f80 & ~0x200 };
  };

  it("is #XM, sets its flag and leaves the destination alone", () => {
    const { raised, state } = run(DIVSD, {}, byZero());
    expect(raised?.vector).toBe(XM);
    expect(state.mxcsr & 0x3f).toBe(4);
    expect(new DataView(state.xmm.buffer).getFloat64(0, true)).toBe(1);
  });

  it("is #UD while CR4.OSXMMEXCPT is clear", () => {
    expect(vectorOf(DIVSD, { cr4: CR4 & ~OSXMMEXCPT }, byZero())).toBe(UD);
  });
});

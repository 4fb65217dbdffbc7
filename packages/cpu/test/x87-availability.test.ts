import { describe, expect, it } from "vitest";
import { type CpuState, emptyState } from "../tools/replay/initial-state.js";
import { CR0, RecorderMachine } from "../tools/replay/recorder-machine.js";

const MP = 2;
const EM = 4;
const TS = 8;
const NE = 0x20;
const NM = 7;
const MF = 16;

const FLD1 = [0xd9, 0xe8];
const FNOP = [0xd9, 0xd0];
const FWAIT = [0x9b];
const FNSTSW_AX = [0xdf, 0xe0];
const FNCLEX = [0xdb, 0xe2];
const FNINIT = [0xdb, 0xe3];
const FNSETPM = [0xdb, 0xe4];
const FDIV_ST0_ST1 = [0xd8, 0xf1];
/** On the word at the data page + 0x800. */
const FLDCW_MEMORY = [0xd9, 0x2c, 0x25, 0x00, 0x08, 0x00, 0x20];
const FNSTENV_MEMORY = [0xd9, 0x34, 0x25, 0x00, 0x08, 0x00, 0x20];
/** fld dword ptr [rax], with rax = 0: not mapped. */
const FLD_MEMORY = [0xd9, 0x00];

const machine = new RecorderMachine();
const run = (code: readonly number[], cr0 = CR0, state: CpuState = emptyState()) =>
  machine.execute(Uint8Array.from(code), state, { cr0 });
const vectorOf = (...args: Parameters<typeof run>): number | null => run(...args).raised?.vector ?? null;

/** #Z has happened and is not masked. */
const pending = (): CpuState => ({ ...emptyState(), fcw: 0x37b, fsw: 0x8084 });

const withControl = (fcw: number): CpuState => {
  const state = emptyState();
  new DataView(state.memory.buffer).setUint16(0x800, fcw, true);
  return state;
};

const hexOf = (data: Uint8Array): string => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");

describe("x87 instructions are available as SDM vol. 3, table 2-2 says", () => {
  it.each([
    ["FLD1", FLD1],
    ["FNOP", FNOP],
    ["FNSTSW", FNSTSW_AX],
    ["FNINIT", FNINIT],
    ["FLD of memory that is not mapped", FLD_MEMORY],
  ])("%s raises #NM with CR0.EM or CR0.TS, whatever CR0.MP", (_, code) => {
    expect(vectorOf(code, (CR0 & ~MP) | EM)).toBe(NM);
    expect(vectorOf(code, CR0 | EM)).toBe(NM);
    expect(vectorOf(code, (CR0 & ~MP) | TS)).toBe(NM);
    expect(vectorOf(code, CR0 | TS)).toBe(NM);
  });

  it("FWAIT raises #NM only with CR0.TS and CR0.MP", () => {
    expect(vectorOf(FWAIT, CR0 | TS)).toBe(NM);
    expect(vectorOf(FWAIT, (CR0 & ~MP) | TS)).toBeNull();
    expect(vectorOf(FWAIT, CR0 | EM)).toBeNull();
  });
});

describe("an unmasked x87 exception", () => {
  it.each([
    ["FLD1", FLD1],
    ["FNOP", FNOP],
    ["FWAIT", FWAIT],
    ["FLD of memory that is not mapped", FLD_MEMORY],
  ])("is raised as #MF by %s, at its address, with the unit as it was", (_, code) => {
    const { raised, state } = run(code, CR0, pending());
    expect(raised?.vector).toBe(MF);
    expect(state.rip).toBe(0);
    expect(state.fsw).toBe(0x8084);
    expect(state.ftw).toBe(0);
  });

  it.each([
    ["FNSTSW", FNSTSW_AX],
    ["FNCLEX", FNCLEX],
    ["FNINIT", FNINIT],
    ["FNSETPM", FNSETPM],
  ])("is not seen by %s", (_, code) => {
    expect(vectorOf(code, CR0, pending())).toBeNull();
  });

  it("is not raised with CR0.NE = 0", () => {
    expect(vectorOf(FLD1, CR0 & ~NE, pending())).toBeNull();
    expect(vectorOf(FWAIT, CR0 & ~NE, pending())).toBeNull();
  });

  it("gives way to #NM", () => {
    expect(vectorOf(FLD1, CR0 | TS, pending())).toBe(NM);
  });

  it("sets ES and B, which FNCLEX clears", () => {
    // 1.0 / 0.0
    const state = { ...emptyState(), fcw: 0x37b, ftw: 0xff };
    state.fpr.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
    const divided = run(FDIV_ST0_ST1, CR0, state);
    expect(divided.raised).toBeNull();
    expect(divided.state.fsw).toBe(0x8084);
    expect(hexOf(divided.state.fpr.subarray(0, 10))).toBe("0000000000000080ff3f");
    expect(run(FNCLEX, CR0, divided.state).state.fsw).toBe(0);
  });

  it("comes to be when FLDCW unmasks what has been noted, and goes when FNSTENV masks everything", () => {
    const unmasked = run(FLDCW_MEMORY, CR0, { ...withControl(0x37b), fsw: 0x0004 });
    expect(unmasked.state.fsw).toBe(0x8084);
    const masked = run(FNSTENV_MEMORY, CR0, pending());
    expect(masked.state.fsw).toBe(0x0004);
    expect(masked.state.fcw).toBe(0x37f);
  });
});

describe("FNSTENV with a 32-bit operand size", () => {
  it("stores zeros for the pointers, which are not tracked, and ones in reserved halves", () => {
    const { state } = run(FNSTENV_MEMORY, CR0, { ...emptyState(), fsw: 0x3800, ftw: 0x80 });
    expect(hexOf(state.memory.subarray(0x800, 0x81c))).toBe(`7f03ffff0038ffffff7fffff${"00".repeat(12)}0000ffff`);
  });
});

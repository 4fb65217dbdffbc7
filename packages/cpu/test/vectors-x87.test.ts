import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type CpuState, DATA_PAGE, emptyState } from "../tools/replay/initial-state.js";
import { type Outcome, RecorderMachine } from "../tools/replay/recorder-machine.js";

/** Recorded with vectors-x87-record.c, which describes the lines. */
const FIXTURE = new URL("./fixtures/x87-states.txt.gz", import.meta.url);

const OPERAND = DATA_PAGE + 0x800;
const FLAGS = 0x8d5;
const C1 = 0x200;
const SUMMARY = 0x8080;
const MF = 16;
/** MOV BL, [RSI] and XCHG [RSI], BL change nothing that is compared, but give the operand's page its TLB entries. */
const WARM = [0x8a, 0x1e, 0x86, 0x1e];
/** F2XM1 FYL2X FPTAN FPATAN FYL2XP1 FSINCOS FSIN FCOS: one unit in the last place, C1 not compared. */
const TRANSCENDENTAL = /^d9f[01239bef]$/;

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
const hex = (data: Uint8Array): string => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const top = (fsw: number): number => (fsw >> 11) & 7;

/** Sets up the recorder's state: `words` are FCW, FSW, tags, flags and AX. */
function stateOf(words: readonly number[], registers: readonly string[], memory: string): CpuState {
  const s = emptyState();
  const [fcw, fsw, ftw, flags, ax] = words as [number, number, number, number, number];
  s.fcw = fcw;
  // FXRSTOR, with which the recorder loads the state, makes ES and B agree with the rest.
  s.fsw = fsw & ~fcw & 0x3f ? fsw | SUMMARY : fsw & ~SUMMARY;
  s.ftw = ftw;
  s.rflags = flags | 0x202;
  registers.forEach((register, i) => {
    s.fpr.set(bytes(register), 10 * ((top(fsw) + i) & 7));
  });
  s.memory.set(bytes(memory), 0x800);
  const gpr = new DataView(s.gpr.buffer);
  gpr.setUint16(0, ax, true);
  gpr.setUint32(8 * 6, OPERAND, true);
  return s;
}

/** Ordinal of an f80 among those of its sign: without the integer bit, encodings of neighbours are neighbours. */
function ordinal(register: string): bigint {
  const encoding = BigInt(`0x${hex(bytes(register).reverse())}`);
  return ((encoding >> 64n) << 63n) | (encoding & ((1n << 63n) - 1n));
}

function near(a: string, b: string): boolean {
  const distance = ordinal(a) - ordinal(b);
  return distance >= -1n && distance <= 1n;
}

/** What the vCPU did differently, or an empty list. */
function differences(line: string, execute: (code: Uint8Array, state: CpuState) => Outcome): string[] {
  const [before, after] = line.split(" => ") as [string, string];
  const [code, ...rest] = before.split(" ") as [string, ...string[]];
  const number = (text: string): number => Number.parseInt(text, 16);
  const registers = [...rest.slice(5, 9), ...Array.from({ length: 4 }, () => "0000000000000080ff3f")];
  const memory = rest[9] as string;
  const initial = stateOf(rest.slice(0, 5).map(number), registers, memory);
  const { state, raised } = execute(bytes(code), initial);
  if (after === "MF") return raised?.vector === MF ? [] : ["#MF did not come"];
  if (raised !== null) return [`exception ${raised.vector}`];

  const words = after.split(" ");
  const [fcw, fsw, ftw, flags, ax] = words.slice(0, 5).map(number) as [number, number, number, number, number];
  const changed = new Map(
    words.filter((word) => word.includes(":")).map((word) => word.split(":") as [string, string]),
  );
  const newMemory = words.slice(5).find((word) => !word.includes(":")) ?? memory;
  const approximate = TRANSCENDENTAL.test(code);
  const found: string[] = [];
  const expectSame = (what: string, recorded: string, got: string): void => {
    if (recorded !== got && !(approximate && what.startsWith("ST") && near(recorded, got)))
      found.push(`${what}: ${recorded}, got ${got}`);
  };
  const expectNumber = (what: string, recorded: number, got: number): void =>
    expectSame(what, recorded.toString(16), got.toString(16));
  expectNumber("FCW", fcw, state.fcw);
  expectNumber("FSW", approximate ? fsw & ~C1 : fsw, approximate ? state.fsw & ~C1 : state.fsw);
  expectNumber("tags", ftw, state.ftw);
  expectNumber("flags", flags, state.rflags & FLAGS);
  expectNumber("AX", ax, new DataView(state.gpr.buffer).getUint16(0, true));
  for (let i = 0; i < 8; i++) {
    const at = 10 * ((top(fsw) + i) & 7);
    expectSame(
      `ST(${i})`,
      changed.get(String(i)) ?? hex(initial.fpr.subarray(at, at + 10)),
      hex(state.fpr.subarray(at, at + 10)),
    );
  }
  expectSame("memory", newMemory, hex(state.memory.subarray(0x800, 0x800 + newMemory.length / 2)));
  return found;
}

describe("x87 states recorded from a processor", () => {
  const lines = gunzipSync(readFileSync(FIXTURE)).toString("latin1").trim().split("\n");
  const machine = new RecorderMachine();
  const cold = (code: Uint8Array, state: CpuState): Outcome => machine.execute(code, state);
  const warm = (code: Uint8Array, state: CpuState): Outcome =>
    machine.execute(Uint8Array.from([...WARM, ...code]), state, { lead: WARM.length, instructions: 3 });
  const bad = (wanted: (line: string) => boolean, execute = cold): string[] =>
    lines
      .filter(wanted)
      .map((line) => [line, differences(line, execute)] as const)
      .filter(([, found]) => found.length > 0)
      .map(([line, found]) => `${line}: ${found.join("; ")}`);

  const fcw = (line: string): number => Number.parseInt(line.split(" ")[1] as string, 16);
  const pending = (line: string): boolean => line.endsWith("=> MF");
  const masked = (line: string): boolean => (fcw(line) & 0x3f) === 0x3f;

  it("covers every kind of state", () => {
    expect(lines.filter(pending).length).toBeGreaterThan(50);
    expect(lines.filter((line) => !masked(line) && !pending(line)).length).toBeGreaterThan(500);
    expect(lines.filter(masked).length).toBeGreaterThan(500);
  });

  it("follow from masked exceptions", () => {
    expect(bad(masked)).toEqual([]);
  });

  it("follow from unmasked exceptions, which change nothing but the status word, or deliver an adjusted result", () => {
    expect(bad((line) => !masked(line) && !pending(line))).toEqual([]);
  });

  it("follow just so where the memory operand can be had without asking", () => {
    expect(bad((line) => !pending(line), warm)).toEqual([]);
  });

  it("show #MF at the first waiting instruction after an unmasked exception", () => {
    expect(bad(pending)).toEqual([]);
  });
});

describe("an x87 instruction that faults on memory", () => {
  const OUTSIDE = 0x30000000;
  const machine = new RecorderMachine();
  const initial = (): CpuState => {
    const s = stateOf(
      [0x37f, 0x3800, 0xff, 0, 0],
      Array.from({ length: 8 }, () => "0000000000000080ff3f"),
      "",
    );
    new DataView(s.gpr.buffer).setUint32(8 * 6, OUTSIDE, true);
    return s;
  };

  it.each([
    ["FLD m32", "d906"],
    ["FLD m80", "db2e"],
    ["FST m64", "dd16"],
    ["FSTP m80", "db3e"],
    ["FISTP m16", "df1e"],
    ["FBSTP m80", "df36"],
    ["FADD m64", "dc06"],
    ["FICOMP m16", "de1e"],
    ["FLDCW m16", "d92e"],
    ["FLDENV m28", "d926"],
    ["FNSTENV m28", "d936"],
    ["FRSTOR m108", "dd26"],
    ["FNSAVE m108", "dd36"],
  ])("leaves the unit as it was: %s", (_, code) => {
    const before = initial();
    const { state, raised } = machine.execute(bytes(code), before);
    expect(raised?.vector).toBe(14);
    expect(state.fsw).toBe(before.fsw);
    expect(state.fcw).toBe(before.fcw);
    expect(state.ftw).toBe(before.ftw);
    expect(hex(state.fpr)).toBe(hex(before.fpr));
  });
});

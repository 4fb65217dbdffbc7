import { describe, expect, it } from "vitest";
import { Seg, type Vcpu } from "../src/index.js";
import * as S from "../src/state.js";
import { CODE, DATA, DEVICE, FakeMachine, RSI } from "./fake-machine.js";
import { DATA_AT, DATA32, dplBits, ProtectedMachine } from "./protected-machine.js";

const FNINIT = [0xdb, 0xe3];
const FADDP = [0xde, 0xc1];
const FLD_M32 = [0xd9, 0x06];
const FLD_M64 = [0xdd, 0x06];
const FLD_M80 = [0xdb, 0x2e];
const FSTP_M64 = [0xdd, 0x1e];
const SS = 0x36;
/** Loads from [RSI] or [ESI] and the store that takes the number away again. */
const LOADS_AND_STORES = [
  [FLD_M32, [0xd9, 0x1e]],
  [FLD_M64, FSTP_M64],
  [FLD_M80, [0xdb, 0x3e]],
  [
    [0xdf, 0x06],
    [0xdf, 0x1e],
  ],
  [
    [0xdb, 0x06],
    [0xdb, 0x1e],
  ],
  [
    [0xdf, 0x2e],
    [0xdf, 0x3e],
  ],
];

/** Executes `instructions` at `CODE`. @returns how many of them a helper executed */
function helpersIn(machine: FakeMachine, instructions: readonly (readonly number[])[]): number {
  const { vcpu } = machine;
  const before = vcpu.counts.helper;
  machine.write(CODE, instructions.flat());
  vcpu.setRip(CODE, 0);
  vcpu.run(instructions.length);
  return vcpu.counts.helper - before;
}

/** The vector and error code that executing `instructions` raises. */
function raisedBy(machine: FakeMachine, instructions: readonly (readonly number[])[]): unknown {
  let raised: unknown = null;
  machine.vcpu.hooks = {
    inject: (vector, errorCode) => {
      raised ??= [vector, errorCode];
    },
  };
  helpersIn(machine, instructions);
  return raised;
}

const at = (machine: FakeMachine, address: number): FakeMachine => {
  machine.vcpu.setReg(RSI, address, 0);
  return machine;
};
const top = (vcpu: Vcpu): number => (vcpu.u16(S.FSW) >> 11) & 7;

describe.each([
  ["64-bit", () => new FakeMachine()],
  ["32-bit", () => new ProtectedMachine()],
])("ordinary x87 arithmetic in %s code", (_, make) => {
  it("stays in generated code, once memory has its TLB entries", () => {
    const machine = at(make(), DATA);
    machine.ram.set([0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x3f], DATA);
    const found = [...machine.ram.subarray(DATA, DATA + 10)];
    const all = LOADS_AND_STORES.flat();
    // The first load and the first store.
    expect(helpersIn(machine, [FNINIT, ...all, ...all, ...all])).toBe(2);
    expect([...machine.ram.subarray(DATA, DATA + 10)]).toEqual(found);
    expect(top(machine.vcpu)).toBe(0);
  });

  it("leaves it for what is not ordinary, and for memory on two pages", () => {
    const machine = at(make(), DATA);
    machine.view.setFloat64(DATA, Number.POSITIVE_INFINITY, true);
    expect(helpersIn(machine, [FNINIT, FLD_M64, FLD_M64, FADDP, FSTP_M64])).toBe(4);
    expect(machine.view.getFloat64(DATA, true)).toBe(Number.POSITIVE_INFINITY);
    machine.view.setFloat64(DATA + 4092, 1.5, true);
    machine.vcpu.setReg(RSI, DATA + 4092, 0);
    expect(helpersIn(machine, [FLD_M64, FLD_M64, FADDP, FSTP_M64])).toBe(3);
    expect(machine.view.getFloat64(DATA + 4092, true)).toBe(3);
  });

  it("reads a device once", () => {
    const machine = at(make(), DEVICE);
    helpersIn(machine, [FNINIT, FLD_M64, FLD_M64]);
    expect(machine.bus.log).toHaveLength(2);
  });
});

describe("an x87 operand outside 64-bit code", () => {
  const bounded = (): FakeMachine => {
    const machine = at(new ProtectedMachine(), 0);
    const segment = {
      baseLo: DATA,
      baseHi: 0,
      limit: 7,
      selector: DATA_AT[0],
      attributes: (DATA32 & ~0x8000) | dplBits(0),
    };
    for (const seg of [Seg.DS, Seg.SS]) machine.vcpu.setSegment(seg, { ...segment });
    return machine;
  };

  it("is at the base of its segment", () => {
    const machine = bounded();
    machine.view.setFloat64(DATA, 2.5, true);
    expect(raisedBy(machine, [FNINIT, FLD_M64, FLD_M64, FADDP, FSTP_M64, FLD_M64, FSTP_M64])).toBeNull();
    expect(machine.view.getFloat64(DATA, true)).toBe(5);
  });

  it.each([
    ["DS is #GP(0)", [], 13],
    ["SS is #SS(0)", [SS], 12],
  ])("beyond the limit of %s", (_, prefix, vector) => {
    expect(raisedBy(bounded(), [FNINIT, FLD_M32, [...prefix, ...FLD_M80]])).toEqual([vector, 0]);
  });
});

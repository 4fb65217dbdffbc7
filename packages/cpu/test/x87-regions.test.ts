import { expect, it } from "vitest";
import * as S from "../src/state.js";
import { Random } from "../tools/random.js";
import { CODE, DATA, FakeMachine, RAX, RCX, RSI } from "./fake-machine.js";
import { FCW_INITIAL, full, INSTRUCTIONS, masked, prepare, room, simplify } from "./x87-cases.js";
import { moderate, number } from "./x87-operands.js";

const ROUNDS = 8;
const DEC_ECX = [0xff, 0xc9];
const JNZ = 0x75;
const FNINIT = [0xdb, 0xe3];
const FLD1 = [0xd9, 0xe8];

const interpreted = new FakeMachine();
const compiled = new FakeMachine({ jit: { threshold: 1, again: 1, batch: 1 } });

/** Executes the instructions `ROUNDS` times, and what counts the rounds. @returns what is to be seen then, and the share that regions had */
function repeat(machine: FakeMachine, instructions: readonly (readonly number[])[]) {
  const { vcpu } = machine;
  const body = [...instructions.flat(), ...DEC_ECX, JNZ];
  machine.write(CODE, [...body, -(body.length + 1) & 0xff]);
  vcpu.setReg(RCX, ROUNDS, 0);
  vcpu.setReg(RSI, DATA, 0);
  vcpu.setRip(CODE, 0);
  const before = vcpu.i32(S.REGION_RETIRED);
  const count = (instructions.length + 2) * ROUNDS;
  vcpu.run(count);
  const seen = {
    registers: [vcpu.regLo(RAX), vcpu.regLo(RCX), vcpu.rflags, vcpu.retired],
    unit: Buffer.from(vcpu.bytes(S.FPR, S.FTW + 1 - S.FPR)).toString("hex"),
    operand: Buffer.from(machine.ram.subarray(DATA, DATA + 16)).toString("hex"),
  };
  return { seen, share: (vcpu.i32(S.REGION_RETIRED) - before) / count };
}

it("x87 instructions in regions do what they do in the interpreter, whatever their operands", () => {
  INSTRUCTIONS.forEach(({ key, insn, bytes }, seed) => {
    const [expected, found] = [interpreted, compiled].map((machine) => {
      const random = new Random(seed);
      prepare(machine, random, masked(random), random.pick([full, room]), () => number(random));
      // A control word that unmasks exceptions would have the second round fault.
      if (insn.op === "fldcw") simplify(machine, key);
      return repeat(machine, [bytes]).seen;
    });
    expect(found?.registers[1]).toBe(0);
    expect([key, found]).toEqual([key, expected]);
  });
});

it("ordinary ones stay in regions, but for FNSTSW AX", () => {
  const random = new Random(92);
  // What is there after FNINIT and three times FLD1.
  const ordinary = INSTRUCTIONS.filter(({ i }) => i < 3);
  const left = ordinary.filter(({ key, bytes }) => {
    prepare(compiled, random, FCW_INITIAL, full, () => moderate(random));
    simplify(compiled, key);
    return repeat(compiled, [FNINIT, FLD1, FLD1, FLD1, bytes]).share < 0.8;
  });
  expect(left.map(({ key }) => key)).toEqual(["fnstsw.r"]);
});

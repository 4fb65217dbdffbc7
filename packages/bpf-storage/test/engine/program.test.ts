import { expect, test } from "vitest";
import { BpfError } from "../../src/errors.js";
import type { Insn } from "../../src/isa/insn.js";
import { assemble, program } from "./assemble.js";
import { bench, ENGINES } from "./harness.js";

const on = bench();
const load = (insns: readonly Insn[], subprograms: readonly number[] = [0], frames?: readonly number[]): void => {
  const source = frames === undefined ? { insns, subprograms } : { insns, subprograms, frames };
  for (const engine of ENGINES) on.engine.load(source, { engine, mode: "trusted" }).dispose();
};
const raw = (fields: Partial<Insn>): Insn => ({ code: 0xb7, dst: 0, src: 0, off: 0, imm: 0, ...fields });
const exit = raw({ code: 0x95 });

test.each<[string, Insn[], string]>([
  ["an opcode that is none", [raw({ code: 0xff }), exit], "instruction 0: unknown opcode 0xff"],
  ["a packet load of 64 bits", [raw({ code: 0x38 }), exit], "unknown opcode 0x38"],
  ["an END of 24 bits", [raw({ code: 0xd4, imm: 24 }), exit], "unknown opcode 0xd4, off 0, imm 24"],
  ["a movsx of 24 bits", [raw({ code: 0xbf, off: 24 }), exit], "unknown opcode 0xbf, off 24"],
  ["a movsx of an immediate", [raw({ code: 0xb7, off: 8 }), exit], "unknown opcode 0xb7, off 8"],
  ["a division with off 2", [raw({ code: 0x37, off: 2 }), exit], "unknown opcode 0x37, off 2"],
  ["a sign-extending load of 64 bits", [raw({ code: 0x99 }), exit], "unknown opcode 0x99"],
  ["an atomic of a byte", [raw({ code: 0xd3 }), exit], "unknown opcode 0xd3"],
  ["an atomic that is none", [raw({ code: 0xdb, imm: 0x10 }), exit], "unknown opcode 0xdb, off 0, imm 16"],
  ["an unresolved map", [raw({ code: 0x18, src: 1 }), raw({ code: 0 }), exit], "unknown opcode 0x18"],
  ["register 11", [raw({ dst: 11 }), exit], "instruction 0: no register 11; there are 0 to 10"],
  ["source register 15", [raw({ code: 0xbf, src: 15 }), exit], "no register 15"],
  ["a write of the frame pointer", [raw({ dst: 10 }), exit], "the frame pointer cannot be written"],
  [
    "a fetch into the frame pointer",
    [raw({ code: 0xdb, src: 10, imm: 1 }), exit],
    "the frame pointer cannot be written",
  ],
  ["a 64-bit load that is cut off", [raw({ code: 0x18 })], "a 64-bit load without its second half"],
  ["a 64-bit load with another second half", [raw({ code: 0x18 }), exit], "a 64-bit load without its second half"],
  [
    "a jump out of the program",
    [raw({ code: 0x05, off: 1 }), exit],
    "instruction 0: jump to 2, outside of its function 0 to 1",
  ],
  ["a jump before the program", [raw({ code: 0x05, off: -2 }), exit], "jump to -1"],
  [
    "a jump into a 64-bit load",
    [raw({ code: 0x05, off: 1 }), raw({ code: 0x18 }), raw({ code: 0 }), exit],
    "jump to 2, into a 64-bit load",
  ],
  ["an end without exit", [exit, raw({})], "instruction 1: control runs past the end"],
  ["a call at the end", [exit, raw({ code: 0x85, src: 1, imm: -2 })], "control runs past the end"],
  [
    "a local call to no function",
    [raw({ code: 0x85, src: 1, imm: 1 }), exit, exit],
    "instruction 0: no function begins at 2",
  ],
  ["a call of an unknown kind", [raw({ code: 0x85, src: 3 }), exit], "unknown opcode 0x85"],
  ["a call by the frame pointer", [raw({ code: 0x8d, dst: 10 }), exit], "no register 10 to call by"],
])("%s is refused", (_, insns, message) => {
  expect(() => load(insns)).toThrow(BpfError);
  expect(() => load(insns)).toThrow("EINVAL");
  expect(() => load(insns)).toThrow(message);
});

test("functions begin at 0, ascending, at instructions", () => {
  const insns = assemble("mov %r0, 0\nexit\nlddw %r0, 1\nexit");
  expect(() => load(insns, [])).toThrow("EINVAL");
  expect(() => load(insns, [1])).toThrow("the first function begins at 1; expected 0");
  expect(() => load(insns, [0, 2, 2])).toThrow("function 1 is empty");
  expect(() => load(insns, [0, 3])).toThrow("EINVAL");
  expect(() => load([], [0])).toThrow("EINVAL");
  expect(() => load(insns, [0, 2])).not.toThrow();
});

test("a jump does not leave its function", () => {
  const insns = assemble("ja +1\nexit\nmov %r0, 0\nexit");
  expect(() => load(insns, [0, 2])).toThrow("jump to 2, outside of its function 0 to 1");
});

test("frames have 0 to 512 bytes", () => {
  expect(() => load([raw({}), exit], [0], [513])).toThrow("a frame of 513 bytes; expected 0 to 512");
  expect(() => load([raw({}), exit], [0], [-1])).toThrow("EINVAL");
  expect(() => load([raw({}), exit], [0], [0])).not.toThrow();
});

test("a frame's size tells where the next one is", () => {
  const { insns, subprograms } = program("mov %r1, %r10\ncall local f\nexit\nf:\nmov %r0, %r1\nsub %r0, %r10\nexit");
  for (const engine of ENGINES) {
    const executable = on.engine.load({ insns, subprograms, frames: [20, 0] }, { engine, mode: "trusted" });
    expect(executable.run(0, 0)).toBe(24);
  }
});

test("a refused program leaves nothing behind", () => {
  const entry = (): number => {
    const executable = on.engine.load(program("mov %r0, 0\nexit"), { engine: "jit", mode: "trusted" });
    executable.dispose();
    return executable.entry;
  };
  const before = entry();
  for (let k = 0; k < 10; k++) expect(() => load([raw({}), raw({ code: 0x85, imm: 7 }), exit])).toThrow("no helper 7");
  expect(entry()).toBe(before);
});

test.each([900, 1100, 20_000])("a function with %i conditional jumps is compiled", (count) => {
  const text = Array.from({ length: count }, (_, k) => `jeq %r1, ${k % 7}, +1\nadd %r0, 1`).join("\n");
  const executable = on.engine.load(program(`mov %r0, 0\n${text}\nexit`), { engine: "jit", mode: "trusted" });
  expect(executable.engine).toBe("jit");
  expect(executable.run(6, 0)).toBe(count - Math.floor(count / 7));
});

test("loops that are entered in the middle", () => {
  const text = `mov %r0, 0\njeq %r1, 0, b\na:\nadd %r0, 1\nb:\nadd %r0, 100\njlt %r0, 500, a\nexit`;
  for (const engine of ENGINES) {
    const executable = on.engine.load(program(text), { engine, mode: "trusted" });
    expect(executable.run(0, 0)).toBe(504);
    expect(executable.run(1, 0)).toBe(505);
  }
});

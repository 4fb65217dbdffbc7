import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeInsns, encodeInsns } from "../src/index.js";

const insn = fc.record({
  code: fc.integer({ min: 0, max: 255 }),
  dst: fc.integer({ min: 0, max: 15 }),
  src: fc.integer({ min: 0, max: 15 }),
  off: fc.integer({ min: -0x8000, max: 0x7fff }),
  imm: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
});

test("instructions are what their bytes say", () => {
  fc.assert(
    fc.property(fc.array(insn), (insns) => {
      expect(decodeInsns(encodeInsns(insns))).toEqual(insns);
    }),
  );
});

test("an instruction has eight bytes", () => {
  expect(() => decodeInsns(new Uint8Array(12))).toThrow("EINVAL: 12 bytes of instructions: expected a multiple of 8");
});

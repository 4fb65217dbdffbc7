import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as asm from "../src/index.js";
import {
  AddressError,
  Assembler,
  type Bits,
  DisplacementOverflowError,
  type Gpr,
  type MemOptions,
  mem,
} from "../src/index.js";
import { decode, expectedText } from "./iced.js";

const gprs = (size: number, limit: number): readonly Gpr[] =>
  Object.values<unknown>(asm).filter(
    (r): r is Gpr =>
      typeof r === "object" &&
      r !== null &&
      "kind" in r &&
      r.kind === "gpr" &&
      "size" in r &&
      r.size === size &&
      Number((r as Gpr).num) < limit,
  );
const R64 = gprs(8, 16);
const R32 = gprs(4, 16);
const E32 = gprs(4, 8);

const i32 = fc.oneof(fc.integer({ min: -128, max: 127 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
const scale = fc.constantFrom(1, 2, 4, 8) as fc.Arbitrary<1 | 2 | 4 | 8>;
const segment = fc.option(fc.constantFrom(asm.fs, asm.gs), { nil: undefined });

/** Loads through `operand`, in code of `bits`, must decode to the same operand. */
function roundTrip(operand: asm.Mem, bits: Bits): void {
  const a = new Assembler({ bits });
  a.mov(asm.al, operand);
  const bytes = a.assemble();
  const { mnemonic, operands, length } = decode(bytes, bits);
  expect(mnemonic).toBe("mov");
  expect(length).toBe(bytes.length);
  expect(canonical(operands[1] ?? "")).toBe(canonical(expectedText(operand, 64)));
}

/** Base and an index of scale 1 may have changed places; displacements compare modulo 2^32. */
function canonical(text: string): string {
  const [, head, base = "", index = "", disp = "0"] = /^(m8 (?:\w+:)?)\[(\w*)\+([\w*]*)\+(\d+)\]$/.exec(text) ?? [];
  const parts = [base && `${base}*1`, index].filter((p) => p !== "");
  const swapped = parts.every((p) => p.endsWith("*1")) ? parts.sort() : parts;
  return `${head}${swapped.join("+")}+${BigInt.asUintN(32, BigInt(disp))}`;
}

function options(
  index: Gpr | undefined,
  factor: 1 | 2 | 4 | 8,
  disp: number,
  seg: asm.SegmentReg | undefined,
): MemOptions {
  return { ...(index ? { index, scale: factor } : {}), disp, size: 1, ...(seg ? { seg } : {}) };
}

describe("a memory operand decodes back to itself", () => {
  for (const [bits, registers] of [
    [64, R64],
    [64, R32],
    [32, E32],
    [16, E32],
  ] as const) {
    it(`base, index, scale and displacement: ${registers[0]?.name} family in ${bits}-bit code`, () => {
      const base = fc.constantFrom(...registers);
      const index = fc.option(fc.constantFrom(...registers.filter((r) => r.num !== 4)), { nil: undefined });
      fc.assert(
        fc.property(base, index, scale, i32, segment, (b, x, s, d, seg) =>
          roundTrip(mem(b, options(x, s, d, seg)), bits),
        ),
      );
    });
  }

  it("16-bit pairs of bases and indices", () => {
    const { bx, bp, si, di } = asm;
    const pairs: (readonly [Gpr, Gpr | undefined])[] = [bx, bp].flatMap((b) => [si, di].map((x) => [b, x] as const));
    for (const single of [bx, bp, si, di]) pairs.push([single, undefined]);
    const disp = fc.oneof(fc.integer({ min: -128, max: 127 }), fc.integer({ min: -32768, max: 32767 }));
    fc.assert(
      fc.property(fc.constantFrom(...pairs), disp, segment, ([b, x], d, seg) => {
        const a = new Assembler({ bits: 16 });
        a.mov(asm.al, mem(b, options(x, 1, d, seg)));
        const text = decode(a.assemble(), 16).operands[1] ?? "";
        const expected = expectedText(mem(b, options(x, 1, d, seg)), 64);
        expect(text.replace(/\d+\]$/, "")).toBe(expected.replace(/\d+\]$/, ""));
        expect(BigInt.asIntN(16, BigInt(/(\d+)\]$/.exec(text)?.[1] ?? 0))).toBe(BigInt(d));
      }),
    );
  });

  it("absolute addresses, alone and with an index", () => {
    const index = fc.option(fc.constantFrom(...R64.filter((r) => r.num !== 4)), { nil: undefined });
    fc.assert(fc.property(index, scale, i32, (x, s, d) => roundTrip(mem(0, options(x, s, d, undefined)), 64)));
    roundTrip(mem(0xffff_f000, { size: 1 }), 32);
    roundTrip(mem(0xffff, { size: 1 }), 16);
    roundTrip(mem(0x1_0000, { size: 1 }), 16);
  });

  it("a label is RIP-relative in 64-bit code and absolute otherwise", () => {
    for (const bits of [16, 32, 64] as const) {
      const a = new Assembler({ org: 0x1000, bits });
      const data = a.label("data");
      a.mov(mem(data, { disp: 4, size: 4 }), 0x12345678);
      a.bind(data).dd(0);
      const { operands, length } = decode(a.assemble(), bits, 0x1000n);
      expect(operands[0]).toBe(`m32 [++${0x1000 + length + 4}]`);
    }
  });

  it("rip plus a displacement counts from the next instruction", () => {
    const bytes = new Assembler().lea(asm.rax, mem(asm.rip, { disp: -7 })).assemble();
    expect(decode(bytes, 64, 0x500n).operands[1]).toBe(`m0 [++${0x500}]`);
  });
});

describe("an address that cannot be encoded is refused", () => {
  const refuse = (
    operand: () => asm.Mem,
    bits: Bits,
    error: typeof AddressError | typeof DisplacementOverflowError,
  ): void => {
    const a = new Assembler({ bits });
    expect(() => a.mov(asm.al, operand())).toThrow(error);
    expect(a.offset).toBe(0);
  };
  it.each<[string, () => asm.Mem, Bits]>([
    ["base and index of different sizes", () => mem(asm.rax, { index: asm.ecx }), 64],
    ["rsp as a scaled index", () => mem(asm.rax, { index: asm.rsp, scale: 2 }), 64],
    ["rsp twice", () => mem(asm.rsp, { index: asm.rsp }), 64],
    ["a byte register", () => mem(asm.al), 64],
    ["a byte index", () => mem(asm.rax, { index: asm.cl }), 64],
    ["a scale of 3", () => mem(asm.rax, { index: asm.rcx, scale: 3 as 2 }), 64],
    ["rip with an index", () => mem(asm.rip, { index: asm.rax }), 64],
    ["rip in 32-bit code", () => mem(asm.rip), 32],
    ["a label with an index", () => mem(new Assembler().label(), { index: asm.rax }), 64],
    ["16-bit registers in 64-bit code", () => mem(asm.bx), 64],
    ["64-bit registers in 32-bit code", () => mem(asm.rbx), 32],
    ["r8d in 32-bit code", () => mem(asm.r8d), 32],
    ["ax as a 16-bit base", () => mem(asm.ax), 16],
    ["a scaled 16-bit index", () => mem(asm.bx, { index: asm.si, scale: 2 }), 16],
  ])("%s", (_, operand, bits) => refuse(operand, bits, AddressError));

  it.each<[string, () => asm.Mem, Bits]>([
    ["an absolute address above 2 GiB in 64-bit code", () => mem(0xfee0_0000), 64],
    ["a displacement of 2^31", () => mem(asm.rax, { disp: 2 ** 31 }), 64],
    ["a rip displacement of 2^31", () => mem(asm.rip, { disp: 2 ** 31 }), 64],
    ["a displacement of 2^32 in 32-bit code", () => mem(asm.eax, { disp: 2 ** 32 }), 32],
    ["a displacement of 2^16 in 16-bit code", () => mem(asm.bx, { disp: 2 ** 16 }), 16],
  ])("%s", (_, operand, bits) => refuse(operand, bits, DisplacementOverflowError));

  it("a fraction", () => {
    expect(() => mem(0.5)).toThrow(asm.ValueError);
    expect(() => mem(asm.rax, { disp: 2 ** 60 })).toThrow(asm.ValueError);
  });
});

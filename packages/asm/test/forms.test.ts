import { describe, expect, it } from "vitest";
import type { Bits } from "../src/_match.js";
import { matches } from "../src/_match.js";
import { type Form, type Pattern, parseForm } from "../src/_notation.js";
import { FORMS, type Mnemonic } from "../src/forms/index.js";
import * as asm from "../src/index.js";
import { decode, expectedText, icedName } from "./iced.js";

const ALL: Readonly<Record<string, unknown>> = asm;

/** Registers of each size to try, low and extended ones. */
const GPRS: Readonly<Record<number, readonly string[]>> = {
  1: ["al", "bl", "dh", "sil", "r9b"],
  2: ["ax", "si", "r10w"],
  4: ["eax", "edi", "r12d"],
  8: ["rax", "rbp", "r13"],
};
const reg = (name: string): asm.Operand => ALL[name] as asm.Operand;
const named = (...names: string[]): asm.Operand[] => names.map(reg);

function memories(size: number, bits: Bits): asm.Operand[] {
  if (bits === 16) return [asm.mem(asm.bx, { index: asm.si, disp: 0x12, size }), asm.mem(0x1234, { size })];
  if (bits === 32) return [asm.mem(asm.ebx, { index: asm.esi, scale: 4, disp: 0x12345, size })];
  return [
    asm.mem(asm.rbx, { size }),
    asm.mem(asm.r12, { disp: -8, size }),
    asm.mem(asm.rbp, { index: asm.r14, scale: 8, disp: 0x12345678, size, seg: asm.gs }),
    asm.mem(asm.r13d, { index: asm.ecx, scale: 2, size }),
  ];
}

function immediates(width: number, extendTo: number): bigint[] {
  const top = (1n << BigInt(width * 8 - 1)) - 1n;
  return width < extendTo ? [2n, top, -1n, -top - 1n] : [2n, top, -top - 1n, (1n << BigInt(width * 8)) - 1n];
}

/** Stands for a short branch to the instruction itself, at address 0: labels belong to the assembler of each check. */
const SELF = asm.short(new asm.Assembler().label("self"));

/** Operands to try for one pattern. */
function samples(pattern: Pattern, bits: Bits): asm.Operand[] {
  switch (pattern.kind) {
    case "gpr":
    case "gpr-rm":
      return named(...(GPRS[pattern.size] ?? []));
    case "rm":
      return [...named(...(GPRS[pattern.size] ?? [])), ...memories(pattern.size, bits)];
    case "mem":
      return memories(pattern.size, bits);
    case "moffs":
      return [asm.mem(bits === 64 ? 0x1122334455667788n : 0x1122, { size: pattern.size })];
    case "xmm-mem":
      return [...named("xmm1", "xmm14"), ...memories(pattern.size, bits)];
    case "xmm":
    case "xmm-rm":
      return named("xmm2", "xmm9");
    case "fixed":
      return named(pattern.reg);
    case "one":
      return [1];
    case "imm": {
      const width = pattern.width === "z" ? (bits === 16 ? 2 : 4) : pattern.width;
      return immediates(width, pattern.extendTo === "mode" ? bits / 8 : pattern.extendTo);
    }
    case "sreg":
      return named("ds", "fs");
    case "cr":
      return named("cr0", "cr4", "cr8");
    case "dr":
      return named("dr0", "dr7");
    case "rel":
      return pattern.width === "short" ? [SELF] : [0x40];
    case "sel":
    case "off":
      return [0x40];
  }
}

function product(lists: readonly asm.Operand[][]): asm.Operand[][] {
  return lists.reduce<asm.Operand[][]>((heads, list) => heads.flatMap((head) => list.map((o) => [...head, o])), [[]]);
}

const registersOf = (operand: asm.Operand): string[] => {
  if (typeof operand !== "object" || operand.kind === "label" || operand.kind === "short") return [];
  if (operand.kind !== "mem") return [operand.name];
  return [operand.base, operand.index].flatMap((part) => (part ? [part.name] : []));
};

/** AH..BH and a REX prefix exclude each other (SDM vol. 2, 2.2.1.2); of the samples, these registers need one. */
function illegalHighByte(operands: readonly asm.Operand[]): boolean {
  const names = operands.flatMap(registersOf);
  return names.includes("dh") && names.some((name) => /^(?:sil|rax|rbp|r\d)/.test(name));
}

function expectedOperands(form: Form, operands: readonly asm.Operand[]): string[] {
  const far = form.patterns.findIndex((p) => p.kind === "sel");
  if (far >= 0) return [`far ${operands[0]}:${operands[1]}`];
  return operands.map((operand, i) => {
    if (operand === SELF) return "to 0";
    return form.patterns[i]?.kind === "rel" ? `to ${operand}` : expectedText(operand, 64);
  });
}

/** Operands of the plain `m` kind have no size here and some in iced: they compare without. */
const strip = (text: string): string => text.replace(/^m\d+ /, "m ");

/** Immediates compare modulo the operand size: whether 0xff is 255 or -1 is a matter of reading. */
function sameOperand(actual: string, expected: string, pattern: Pattern, opSize: number): boolean {
  if (pattern.kind !== "imm")
    return pattern.kind === "mem" && pattern.size === 0 ? strip(actual) === strip(expected) : actual === expected;
  const extendTo = pattern.extendTo === "mode" ? opSize || 8 : pattern.extendTo;
  return BigInt.asUintN(extendTo * 8, BigInt(actual)) === BigInt.asUintN(extendTo * 8, BigInt(expected));
}

/** Assembles, decodes with iced and compares mnemonic, length and operands. */
function check(mnemonic: Mnemonic, form: Form, operands: readonly asm.Operand[], bits: Bits): void {
  const a = new asm.Assembler({ bits });
  const self = asm.short(a.here("self"));
  (a[mnemonic] as (...o: asm.Operand[]) => asm.Assembler)(...operands.map((o) => (o === SELF ? self : o)));
  const bytes = a.assemble();
  const actual = decode(bytes, bits);
  const expected = expectedOperands(form, operands);
  const what = [bits, mnemonic, ...expected, "=", Buffer.from(bytes).toString("hex"), "=", ...actual.operands].join(
    " ",
  );
  expect(actual.mnemonic, what).toBe(icedName(mnemonic));
  expect(actual.length, what).toBe(bytes.length);
  if (operands.length === 0) return; // iced lists implicit operands of string instructions and the like
  expect(actual.operands.length, what).toBe(expected.length);
  expected.forEach((text, i) => {
    expect(sameOperand(actual.operands[i] ?? "", text, form.patterns[i] as Pattern, bits / 8), what).toBe(true);
  });
}

describe("every form of every mnemonic decodes back to itself, and none hides behind an earlier one", () => {
  for (const mnemonic of Object.keys(FORMS) as Mnemonic[]) {
    it(mnemonic, () => {
      const forms = FORMS[mnemonic].flatMap(parseForm);
      const chosen = new Set<Form | undefined>();
      for (const form of forms) {
        for (const bits of [16, 32, 64] as const) {
          for (const operands of product(form.patterns.map((p) => samples(p, bits)))) {
            if (!matches(form, operands, bits) || (bits === 64 && illegalHighByte(operands))) continue;
            check(mnemonic, form, operands, bits);
            chosen.add(forms.find((candidate) => matches(candidate, operands, bits)));
          }
        }
      }
      expect(forms.filter((form) => !chosen.has(form))).toEqual([]);
    });
  }
});

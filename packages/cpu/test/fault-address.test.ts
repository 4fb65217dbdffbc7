import { describe, expect, test } from "vitest";
import { DATA } from "./fake-machine.js";
import { Scene } from "./scene.js";

/** Bytes from the page that is absent to the operand, and CR2 in the same measure: what a processor touches first (recorded from one). */
type Recorded = readonly [name: string, code: readonly number[], operand: number, cr2: number];

const PAGE = DATA + 0x1000;
const CR4_OSXSAVE = 0x40000;

/** Where the page fault of `code` with its operand (and its stack) at `at` is said to be, relative to `PAGE`, which is absent. */
function faultAddress(code: readonly number[], at: number): number {
  const s = new Scene(code);
  s.before = [];
  s.level = 0;
  s.rax = 3n;
  s.rbx = s.rsp = BigInt(at);
  s.m.vcpu.cr4 |= CR4_OSXSAVE;
  s.m.map(PAGE, { absent: true });
  expect(s.play()[0]).toMatch(/^#PF/);
  return s.m.vcpu.cr2Lo - PAGE;
}

describe("a return reads its frame from the highest of RFLAGS, CS and RIP down", () => {
  test.each<Recorded>([
    ["IRETQ", [0x48, 0xcf], 0, 0x10],
    ["IRETD", [0xcf], 0, 8],
    ["IRETQ, RFLAGS and CS in the page", [0x48, 0xcf], -8, 8],
    ["IRETQ, RFLAGS alone in the page", [0x48, 0xcf], -0x10, 0],
    ["IRETQ, but for RFLAGS in the page", [0x48, 0xcf], 0xff0, 0xff8],
    ["RETFQ", [0x48, 0xcb], 0, 8],
    ["RETFD", [0xcb], 0, 4],
    ["RETFW", [0x66, 0xcb], 0, 2],
    ["RETFQ, RIP alone in the page", [0x48, 0xcb], 0xff8, 0xff8],
  ])("%s", (_, code, operand, cr2) => {
    expect(faultAddress(code, PAGE + operand)).toBe(cr2);
  });
});

describe("an area on two pages is touched at its end, if that is on another page than its beginning", () => {
  test.each<Recorded>([
    ["FNSTENV within a page", [0xd9, 0x33], 0, 0],
    ["FNSTENV", [0xd9, 0x33], -0x10, 0xb],
    ["FLDENV", [0xd9, 0x23], -0x10, 0xb],
    ["FNSAVE", [0xdd, 0x33], -0x10, 0x5b],
    ["FNSAVE, late", [0xdd, 0x33], -0x60, 0xb],
    ["FNSAVE that begins in the page", [0xdd, 0x33], 0xff0, 0xff0],
    ["FRSTOR", [0xdd, 0x23], -0x10, 0x5b],
    ["FRSTOR that begins in the page", [0xdd, 0x23], 0xff0, 0xff0],
  ])("%s", (_, code, operand, cr2) => {
    expect(faultAddress(code, PAGE + operand)).toBe(cr2);
  });
});

describe("the areas of FXSAVE and XSAVE are touched at their end first, that of XRSTOR in its header", () => {
  test.each<Recorded>([
    ["FXSAVE", [0x0f, 0xae, 0x03], 0, 0x1ff],
    ["FXSAVE on two pages", [0x0f, 0xae, 0x03], -0x100, 0xff],
    ["FXSAVE that begins in the page", [0x0f, 0xae, 0x03], 0xf00, 0xf00],
    ["FXRSTOR", [0x0f, 0xae, 0x0b], 0, 0x1ff],
    ["FXRSTOR that begins in the page", [0x0f, 0xae, 0x0b], 0xf00, 0xf00],
    ["XSAVE", [0x0f, 0xae, 0x23], 0, 0x23f],
    ["XSAVE on two pages", [0x0f, 0xae, 0x23], -0x100, 0x13f],
    ["XRSTOR", [0x0f, 0xae, 0x2b], 0, 0x208],
  ])("%s", (_, code, operand, cr2) => {
    expect(faultAddress(code, PAGE + operand)).toBe(cr2);
  });
});

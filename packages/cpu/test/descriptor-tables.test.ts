import { ax, mem } from "@vm/asm";
import { beforeEach, describe, expect, test } from "vitest";
import { CODE, DATA, FakeMachine, frame, GDT, HANDLERS, rip } from "./fake-machine.js";

/** Entries of the GDT that are free for a system descriptor of 16 bytes. */
const SELECTOR = 0x48;
const NON_CANONICAL = 0x0000800000000000n;
const KERNEL_HALF = 0xffff800000000000n;
const LDT = 2;
const TSS_AVAILABLE = 9;

let m: FakeMachine;
beforeEach(() => {
  m = new FakeMachine();
  m.vcpu.gdtr.limit = SELECTOR + 15;
});

/** Writes a present system descriptor at `SELECTOR`; `upper` is its last doubleword. */
function describeSegment(type: number, base: bigint, upper = 0n): void {
  const low = 0x67n | ((base & 0xffffffn) << 16n) | (BigInt(0x80 | type) << 40n) | (((base >> 24n) & 0xffn) << 56n);
  m.qword(GDT + SELECTOR, low);
  m.qword(GDT + SELECTOR + 8, ((base >> 32n) & 0xffffffffn) | (upper << 32n));
}

/** Loads `SELECTOR` with LLDT or LTR. @returns the error code of the #GP, or null if it was loaded */
function load(name: "lldt" | "ltr"): number | null {
  m.assemble(CODE, (a) => a.mov(ax, SELECTOR)[name](ax).hlt());
  m.go();
  return rip(m.vcpu) === HANDLERS + 16 * 13 + 1 ? frame(m, true).error : null;
}

describe.each(["lgdt", "lidt"] as const)("%s in 64-bit mode (SDM vol. 2)", (name) => {
  const register = () => (name === "lgdt" ? m.vcpu.gdtr : m.vcpu.idtr);
  const run = (base: bigint) => {
    m.view.setUint16(DATA, 0xfff, true);
    m.qword(DATA + 2, base);
    m.assemble(CODE, (a) => a[name](mem(DATA)).hlt());
    m.go();
  };

  test("with a base that is not canonical is #GP(0) and changes nothing", () => {
    const before = { ...register() };
    run(NON_CANONICAL);
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * 13 + 1);
    expect(frame(m, true).error).toBe(0);
    expect(register()).toEqual(before);
  });

  test("takes a base in either half of the address space", () => {
    run(KERNEL_HALF);
    expect(register()).toMatchObject({ limit: 0xfff, baseLo: 0, baseHi: 0xffff8000 | 0 });
  });
});

describe.each([
  ["lldt", LDT, "ldtr"],
  ["ltr", TSS_AVAILABLE, "tr"],
] as const)("%s in long mode (SDM vol. 2)", (name, type, register) => {
  test("loads a base of 64 bits", () => {
    describeSegment(type, KERNEL_HALF + 0x12345678n);
    expect(load(name)).toBe(null);
    expect(m.vcpu[register]).toMatchObject({ selector: SELECTOR, baseLo: 0x12345678, baseHi: 0xffff8000 | 0 });
  });

  test("with a base that is not canonical is #GP(selector), and a TSS stays available", () => {
    const before = { ...m.vcpu[register] };
    describeSegment(type, NON_CANONICAL);
    expect(load(name)).toBe(SELECTOR);
    expect(m.vcpu[register]).toEqual(before);
    expect(m.ram[GDT + SELECTOR + 5]).toBe(0x80 | type);
  });

  test.each([0x100n, 0x1000n])("with a type in the upper half (%s) is #GP(selector)", (upper) => {
    describeSegment(type, KERNEL_HALF, upper);
    expect(load(name)).toBe(SELECTOR);
  });

  test("does not look at the other bits of the last doubleword", () => {
    describeSegment(type, KERNEL_HALF, 0xffffe0ffn);
    expect(load(name)).toBe(null);
  });

  test("of a descriptor whose upper half is behind the limit is #GP(selector)", () => {
    describeSegment(type, KERNEL_HALF);
    m.vcpu.gdtr.limit = SELECTOR + 14;
    expect(load(name)).toBe(SELECTOR);
  });
});

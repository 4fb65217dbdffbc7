import { type Assembler, mem, rax } from "@vm/asm";
import { describe, expect, test } from "vitest";
import {
  CpuFeatureError,
  CpuidTable,
  DEFAULT_CPUID,
  readMsr,
  withFeatures,
  writeControlRegister,
} from "../src/index.js";
import { CODE, DATA, FakeMachine, HANDLERS, rip } from "./fake-machine.js";

const CR4_BITS = { umip: 11, fsgsbase: 16, pcid: 17, smep: 20, smap: 21, pku: 22 };
const machineWith = (words: string) => new FakeMachine({ cpuid: withFeatures(DEFAULT_CPUID, words) });

describe("a feature that is taken away is gone, and comes back", () => {
  test.each(Object.entries(CR4_BITS))("%s: its bit of CR4 is reserved (SDM vol. 3, 2.5)", (name, bit) => {
    const set = (words: string) => {
      const { vcpu } = machineWith(words);
      return writeControlRegister(vcpu, 4, vcpu.cr4 | (1 << bit), 0);
    };
    expect([set(`-${name}`), set(`-${name},+${name}`)]).toEqual([false, true]);
  });

  test("invpcid: #UD (SDM vol. 2)", () => {
    const vectorOf = (words: string) => {
      const m = machineWith(words);
      m.assemble(CODE, (a) => a.mov(rax, 2).invpcid(rax, mem(DATA)).hlt());
      m.go();
      return (rip(m.vcpu) - 1 - HANDLERS) / 16;
    };
    expect(vectorOf("-invpcid")).toBe(6);
    expect(vectorOf("+invpcid")).toBeGreaterThan(255);
  });

  test("tsc_adjust: there is no such MSR (SDM vol. 4)", () => {
    const read = (words: string) => readMsr(machineWith(words).vcpu, 0x3b, { lo: 0, hi: 0 });
    expect([read("-tsc_adjust"), read("+tsc_adjust")]).toEqual([false, true]);
  });

  test("x2apic: bit 21 of CPUID.1:ECX, which the local APIC goes by", () => {
    const bit = (words: string) => (new CpuidTable(withFeatures(DEFAULT_CPUID, words)).query(1, 0).ecx >>> 21) & 1;
    expect([bit("-x2apic"), bit("+x2apic")]).toEqual([0, 1]);
  });
});

test("la57 widens linear addresses to 57 bits", () => {
  const table = new CpuidTable(withFeatures(DEFAULT_CPUID, "+la57"));
  expect(table.query(7, 0).ecx & 0x10000).not.toBe(0);
  expect(table.query(0x80000008, 0).eax).toBe(0x3928);
});

describe("an address of 57 bits", () => {
  const ADDRESS = 0x00aaaaaaaaaaa000n;
  const LA57 = 1 << 12;
  const FSGSBASE = 1 << 16;

  /** Vector of what the instructions raise, above 255 if nothing, with the feature and with CR4.LA57 as given. */
  function vectorOf(body: (a: Assembler) => Assembler, { feature, inForce }: { feature: boolean; inForce: boolean }) {
    const m = machineWith(feature ? "+la57" : "-la57");
    m.vcpu.cr4 |= FSGSBASE | (inForce ? LA57 : 0);
    m.vcpu.updatePaging();
    m.view.setUint16(DATA, 0xfff, true);
    m.qword(DATA + 2, ADDRESS);
    m.qword(DATA + 0x10, 0n);
    m.qword(DATA + 0x18, ADDRESS);
    m.assemble(CODE, (a) => body(a).hlt());
    m.go();
    return (rip(m.vcpu) - 1 - HANDLERS) / 16;
  }

  test.each<[string, (a: Assembler) => Assembler]>([
    ["a load", (a) => a.mov(rax, ADDRESS).mov(rax, mem(rax))],
    ["a jump", (a) => a.mov(rax, ADDRESS).jmp(rax)],
    ["a far return", (a) => a.mov(rax, ADDRESS).push(8).push(rax).retfq()],
  ])("%s: #PF under CR4.LA57, else #GP (SDM vol. 1, 3.3.7.1)", (_, body) => {
    expect(vectorOf(body, { feature: true, inForce: true })).toBe(14);
    expect(vectorOf(body, { feature: true, inForce: false })).toBe(13);
  });

  test.each<[string, (a: Assembler) => Assembler]>([
    ["lgdt", (a) => a.lgdt(mem(DATA))],
    ["invpcid", (a) => a.mov(rax, 0).invpcid(rax, mem(DATA + 0x10))],
    ["wrgsbase", (a) => a.mov(rax, ADDRESS).wrgsbase(rax)],
  ])("%s takes it where the processor has LA57, in force or not (SDM vol. 3, 4.5.2)", (_, body) => {
    expect(vectorOf(body, { feature: true, inForce: false })).toBeGreaterThan(255);
    expect(vectorOf(body, { feature: false, inForce: false })).toBe(13);
  });
});

test("without pku the XSAVE area has no PKRU", () => {
  const table = new CpuidTable(withFeatures(DEFAULT_CPUID, "-pku"));
  expect(table.query(0xd, 0)).toMatchObject({ eax: 3, ecx: 576 });
  expect(table.query(0xd, 9)).toMatchObject({ eax: 0, ebx: 0 });
});

test("adding what is there and taking away what is not changes nothing", () => {
  expect(withFeatures(DEFAULT_CPUID, "+pku,+pcid,-la57")).toEqual(DEFAULT_CPUID);
});

test.each(["", "pcid", "+", "-vmx", "+pcid,", "+toString"])("%j is refused", (words) => {
  expect(() => withFeatures(DEFAULT_CPUID, words)).toThrow(CpuFeatureError);
});

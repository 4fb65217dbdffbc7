import { mem, rax } from "@vm/asm";
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

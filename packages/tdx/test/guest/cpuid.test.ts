import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { storedField } from "../../src/module/fields/vp-fields.js";
import { Gpr } from "../../src/module/gpr.js";
import { cpuidKey } from "../../src/module/td.js";
import { CpuidConfigError, computeTdCpuid } from "../../src/module/td-cpuid.js";
import { TdVcpu } from "../../src/module/td-vcpu.js";
import { CPUID_CONFIGURABLE, findCpuid } from "../../src/tables/cpuid.js";
import { guest, NATIVE } from "./fixture.js";

type Guest = ReturnType<typeof guest>;

function ask({ door, cpu }: Guest, leaf: number, subleaf = 0) {
  expect(door.cpuid(leaf, subleaf)).toBe("done");
  return [Gpr.Rax, Gpr.Rbx, Gpr.Rcx, Gpr.Rdx].map((gpr) => Number(cpu.gpr.get(gpr)));
}
const bit = (value: number | undefined, at: number) => ((value ?? 0) >>> at) & 1;
const faults = ({ door, cpu, vcpu }: Guest, leaf: number, subleaf = 0): boolean => {
  const outcome = door.cpuid(leaf, subleaf);
  const isVe = outcome === "exception" && cpu.injected.at(-1)?.[0] === 20 && vcpu.veInfo.exitReason === 10;
  vcpu.veInfo.valid = false;
  return isVe;
};

describe("CPUID in a TD", () => {
  it("has 0x23 basic leaves, and answers the last for those beyond", () => {
    const td = guest();
    expect(ask(td, 0)[0]).toBe(0x23);
    expect(ask(td, 0x24)).toEqual(ask(td, 0x23));
    expect(ask(td, 0x8000_0009)).toEqual(ask(td, 0x23));
    expect(ask(td, 0x5000_0000)).toEqual(ask(td, 0x23));
  });

  it("causes #VE for leaves of hypervisors, and for those it leaves to the host or does not know", () => {
    const td = guest();
    for (const leaf of [0x4000_0000, 0x4fff_ffff, 2, 6, 0xb, 0x16, 0x17, 0x18, 0x1f, 0x8000_0002, 0x8000_0006])
      expect(faults(td, leaf), leaf.toString(16)).toBe(true);
    expect(faults(td, 4, 5)).toBe(true);
  });

  it("leaf 1: the vCPU's index is the initial APIC id, OSXSAVE is CR4's, bit 31 says hypervisor", () => {
    const td = guest();
    td.vcpu.index = 3;
    const [eax, ebx, ecx] = ask(td, 1);
    expect([eax, (ebx ?? 0) >>> 24, bit(ecx, 31), bit(ecx, 27), bit(ecx, 5)]).toEqual([0x506ca, 3, 1, 0, 0]);
    td.cpu.cr4 |= 1n << 18n;
    expect(bit(ask(td, 1)[2], 27)).toBe(1);
  });

  it("leaf 7: OSPKE is CR4's", () => {
    const td = guest();
    expect(bit(ask(td, 7)[2], 4)).toBe(0);
    td.cpu.cr4 |= 1n << 22n;
    expect(bit(ask(td, 7)[2], 4)).toBe(1);
  });

  it("leaf 0xD: what XCR0 enables has the size, XFAM bounds the rest", () => {
    const td = guest();
    expect(ask(td, 0xd, 0)).toEqual([0x203, 576, 584, 0]);
    td.cpu.xcr0 = 0x203n;
    expect(ask(td, 0xd, 0)[1]).toBe(584);
    expect(ask(td, 0xd, 1)[1]).toBe(584);
    expect(ask(td, 0xd, 9)).toEqual([8, 576, 0, 0]);
    const bare = guest({ xfam: 3n });
    expect(ask(bare, 0xd, 0)).toEqual([3, 576, 576, 0]);
    expect(ask(bare, 0xd, 9)).toEqual([0, 0, 0, 0]);
    expect(bit(ask(bare, 7)[2], 3), "PKU").toBe(0);
  });

  it("0x15: the TSC frequency in units of the 25 MHz crystal", () => {
    expect(ask(guest(), 0x15)).toEqual([1, 40, 25_000_000, 0]);
  });

  it("0x80000001: SYSCALL only in 64-bit code", () => {
    const td = guest();
    expect(bit(ask(td, 0x8000_0001)[3], 11)).toBe(1);
    td.cpu.is64Bit = false;
    expect(bit(ask(td, 0x8000_0001)[3], 11)).toBe(0);
  });

  it("0x80000008: addresses are at least as wide as the shared bit asks", () => {
    expect((ask(guest(), 0x8000_0008)[0] ?? 0) & 0xff).toBe(48);
    expect((ask(guest({ gpaw: true }), 0x8000_0008)[0] ?? 0) & 0xff).toBe(52);
  });

  it("features that the processor lacks are zero, though Intel's module demands them of its own", () => {
    const td = guest();
    const [, ebx, ecx] = ask(td, 7);
    expect([bit(ebx, 5), bit(ebx, 16), bit(ecx, 31)], "AVX2, AVX512F, PKS").toEqual([0, 0, 0]);
    expect(bit(ask(td, 1)[2], 3), "MONITOR").toBe(0);
    expect(ask(td, 5)).toEqual([0, 0, 0, 0]);
    expect(ask(td, 0xa)).toEqual([0, 0, 0, 0]);
  });

  it("#VE by privilege: for all leaves, or for one", () => {
    const td = guest();
    td.vcpu.cpuidUserVe = true;
    expect(td.door.cpuid(0, 0)).toBe("done");
    td.cpu.cpl = 3;
    expect(faults(td, 0)).toBe(true);
    td.vcpu.cpuidUserVe = false;
    td.vcpu.fields.set(storedField({ id: 0xa120000000000000n }, findCpuid(0x21, 0)?.index ?? -1), 2n);
    expect(faults(td, 0x21)).toBe(true);
    expect(td.door.cpuid(0, 0)).toBe("done");
    td.cpu.cpl = 0;
    expect(td.door.cpuid(0x21, 0)).toBe("done");
  });

  it("ENUM_TOPOLOGY: leaves 1, 0xB and 0x1F and the x2APIC id show what the host gave", () => {
    const td = guest({ tdCtls: 3n });
    td.vcpu.hasX2ApicId = true;
    td.vcpu.x2ApicId = 6;
    const other = new TdVcpu(td.td, 0x9000);
    other.hasX2ApicId = true;
    other.x2ApicId = 9;
    td.td.vcpus.set(0x9000, other);
    td.td.numVcpus = 2;
    expect((ask(td, 1)[1] ?? 0) >>> 24).toBe(6);
    for (const leaf of [0xb, 0x1f]) {
      expect(ask(td, leaf, 0)).toEqual([0, 1, 0x100, 6]);
      expect(ask(td, leaf, 1)).toEqual([4, 2, 0x201, 6]);
      expect(ask(td, leaf, 2)).toEqual([0, 0, 2, 6]);
    }
    expect(td.door.rdmsr(0x802)).toBe("done");
    expect(td.cpu.gpr.get(Gpr.Rax)).toBe(6n);
  });

  it("any leaf is answered with 32 bits or #VE", () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), fc.constantFrom(0, 3), (leaf, subleaf, cpl) => {
        const td = SHARED;
        td.cpu.cpl = cpl;
        td.vcpu.veInfo.valid = false;
        const outcome = td.door.cpuid(leaf, subleaf);
        const small = [Gpr.Rax, Gpr.Rbx, Gpr.Rcx, Gpr.Rdx].every((gpr) => td.cpu.gpr.get(gpr) < 2n ** 32n);
        return outcome === "exception" || (outcome === "done" && small);
      }),
      { numRuns: 300 },
    );
  });
});
const SHARED = guest();

describe("TD_PARAMS.CPUID_CONFIG", () => {
  const native = (leaf: number, subleaf: number) =>
    NATIVE[`${leaf.toString(16)}.${subleaf}`] ?? ([0, 0, 0, 0] as const);
  const inputs = { native, attributes: 0n, xfam: 0x203n, tscFrequency: 40, gpaBits: 48 } as const;
  const zeros = () => CPUID_CONFIGURABLE.map(() => [0, 0, 0, 0] as [number, number, number, number]);

  it("takes away what it does not name, and gives nothing that the processor lacks", () => {
    const config = zeros();
    const none = computeTdCpuid({ ...inputs, config });
    expect(bit(none.get(cpuidKey(1))?.[2], 24), "TSC deadline").toBe(0);
    const [leaf1] = config;
    if (leaf1 !== undefined) leaf1[2] = 0x31044d88;
    const all = computeTdCpuid({ ...inputs, config }).get(cpuidKey(1))?.[2];
    expect([bit(all, 24), bit(all, 3), bit(all, 18)], "TSC deadline, MONITOR, DCA").toEqual([1, 0, 0]);
  });

  it("gives the topology and the caches that it names", () => {
    const config = zeros();
    config[0] = [0, 0x40000, 0, 0];
    config[1] = [0x121, (7 << 22) | (63 << 12), 63, 0];
    const result = computeTdCpuid({ ...inputs, config });
    expect(((result.get(cpuidKey(1))?.[1] ?? 0) >>> 16) & 0xff).toBe(4);
    expect(result.get(cpuidKey(4, 0))?.slice(0, 3)).toEqual([0x121, (7 << 22) | (63 << 12), 63]);
  });

  it("may not name a bit that is not configurable", () => {
    const config = zeros();
    config[5] = [1, 0, 0, 0];
    expect(() => computeTdCpuid({ ...inputs, config })).toThrow(CpuidConfigError);
    try {
      computeTdCpuid({ ...inputs, config });
    } catch (error) {
      expect(error instanceof CpuidConfigError && error.leafAndSubleaf).toBe(7n);
    }
  });

  it("shows the processor's own family, model and stepping, or is refused", () => {
    const config = zeros();
    expect(computeTdCpuid({ ...inputs, config }).get(cpuidKey(1))?.[0]).toBe(0x506ca);
    config[0] = [0x506ca, 0, 0, 0];
    expect(computeTdCpuid({ ...inputs, config }).get(cpuidKey(1))?.[0]).toBe(0x506ca);
    config[0] = [0x806f8, 0, 0, 0];
    expect(() => computeTdCpuid({ ...inputs, config })).toThrow(CpuidConfigError);
  });
});

import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { Attribute, cpuidKey } from "../../src/module/td.js";
import { MSR_RANGES } from "../../src/tables/msr.js";
import { guest } from "./fixture.js";

type Guest = ReturnType<typeof guest>;

/** native, done, gp or ve. */
function outcome({ door, cpu, vcpu }: Guest, index: number, value?: bigint): string {
  cpu.injected.length = 0;
  vcpu.veInfo.valid = false;
  const result = value === undefined ? door.rdmsr(index) : door.wrmsr(index, value);
  if (result !== "exception") return result;
  const [[vector] = []] = cpu.injected;
  if (vector === 20) expect(vcpu.veInfo.exitReason).toBe(value === undefined ? 31 : 32);
  return vector === 13 ? "gp" : vector === 20 ? "ve" : `vector ${vector}`;
}

describe("MSRs of a TD", () => {
  it("are #VE where the table has nothing, and beyond the bitmaps", () => {
    const td = guest();
    for (const index of [
      0x1b, 0x8b, 0x200, 0x802, 0x830, 0x832, 0x2000, 0x4000_0000, 0x4b56_4d00, 0xc000_2000, 0xffff_ffff,
    ]) {
      expect(outcome(td, index), index.toString(16)).toBe("ve");
      expect(outcome(td, index, 0n), index.toString(16)).toBe("ve");
    }
  });

  it("follow the table in both directions, for a TD without optional features", () => {
    const td = guest({ xfam: 3n });
    for (const { name, first, last, read, write } of MSR_RANGES)
      for (const index of [first, last]) {
        if (read.answer !== "module" && read.answer !== "gp-or-ve") expect(outcome(td, index), name).toBe(read.answer);
        if (write.answer !== "module" && write.answer !== "gp-or-ve")
          expect(outcome(td, index, 0n), name).toBe(write.answer);
      }
  });

  it("of performance monitoring are native for a TD that has it", () => {
    const td = guest({ attributes: Attribute.PERFMON });
    expect(outcome(td, 0x186)).toBe("native");
    expect(outcome(td, 0x186, 0n)).toBe("native");
    expect(outcome(guest(), 0x186)).toBe("gp");
  });

  it("of CET, PT and LBR are native by XFAM", () => {
    expect(outcome(guest({ xfam: 0x1803n }), 0x6a0)).toBe("native");
    expect(outcome(guest(), 0x6a0)).toBe("gp");
    expect(outcome(guest({ xfam: 0x103n }), 0x570)).toBe("native");
    expect(outcome(guest({ xfam: 0x8003n }), 0x14ce)).toBe("native");
  });

  it("TSC_DEADLINE is #VE where CPUID offers it, else #GP", () => {
    const td = guest();
    expect(outcome(td, 0x6e0)).toBe("ve");
    td.td.cpuid.set(cpuidKey(1), [0, 0, 0, 0]);
    expect(outcome(td, 0x6e0)).toBe("gp");
    expect(outcome(td, 0x6e0, 0n)).toBe("gp");
  });

  it("DCA, TME and MKTME are #GP, as CPUID does not offer them; they would be #VE", () => {
    const td = guest();
    for (const index of [0x1f8, 0x1fa, 0x981, 0x984, 0x87]) expect(outcome(td, index)).toBe("gp");
    td.td.cpuid.set(cpuidKey(7, 0), [0, 0, 1 << 13, 1 << 18]);
    for (const index of [0x981, 0x984, 0x87]) expect(outcome(td, index)).toBe("ve");
  });

  it("that the module answers: capabilities, no xAPIC, no PMU, no VMX", () => {
    const td = guest();
    const read = (index: number) => {
      expect(outcome(td, index)).toBe("done");
      return td.cpu.gpr.get(Gpr.Rax) | (td.cpu.gpr.get(Gpr.Rdx) << 32n);
    };
    expect(read(0x10a)).toBe(0x1234n);
    expect(read(0xbd)).toBe(1n);
    expect(read(0x1a0) & (1n << 7n)).toBe(0n);
    expect(read(0x1a0) & (1n << 12n)).not.toBe(0n);
    expect(read(0x345)).toBe(0n);
    expect(read(0x480)).toBe(0n);
    td.td.archCapabilities = 0xabcd_0000_1111n;
    expect(read(0x10a)).toBe(0xabcd_0000_1111n);
  });

  it("XSS takes what the processor and XFAM have", () => {
    const td = guest();
    expect(outcome(td, 0xda0, 0n)).toBe("native");
    expect(outcome(td, 0xda0, 1n << 11n)).toBe("gp");
  });

  it("DEBUGCTL: reserved bits are #GP, branch trace messages #VE", () => {
    const td = guest();
    expect(outcome(td, 0x1d9, 0x2n)).toBe("native");
    expect(outcome(td, 0x1d9, 0x8n)).toBe("gp");
    expect(outcome(td, 0x1d9, 1n << 16n)).toBe("gp");
    expect(outcome(td, 0x1d9, 0x40n)).toBe("ve");
    expect(outcome(td, 0x1d9, 0xc0n)).toBe("native");
  });

  it("EFER: only SCE may change; LMA is not looked at", () => {
    const td = guest();
    expect(outcome(td, 0xc000_0080, 0x901n)).toBe("native");
    expect(outcome(td, 0xc000_0080, 0xd00n)).toBe("native");
    expect(outcome(td, 0xc000_0080, 0xc01n)).toBe("ve");
    expect(outcome(td, 0xc000_0080, 0x1d01n)).toBe("ve");
  });
});

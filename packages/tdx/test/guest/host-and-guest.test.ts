// A host that makes SEAMCALLs and a guest that makes TDCALLs, with the whole module between them.
import { describe, expect, it } from "vitest";
import { TdGuest } from "../../src/guest/td-guest.js";
import { Gpr } from "../../src/module/gpr.js";
import type { VmExit } from "../../src/module/guest-cpu.js";
import { parseTdReport } from "../../src/report/parse.js";
import { ReportPlatform } from "../../src/report/platform.js";
import { Host, PAGE } from "../module/host.js";
import { TdHost, Tdh } from "../module/td-host.js";

type Registers = Partial<Record<keyof typeof Gpr, bigint>>;
const LONG_MODE = 0xd01n;
const MNG_RD_CPUID = 0x9410000300000000n;

/** A runnable TD whose guest side is the module's. Its page at 0 was added with `fill`. */
function world(params = {}) {
  const td = new TdHost(new Host().bringUp()).runnable(params);
  const cpu = td.cpu();
  cpu.efer = LONG_MODE;
  const door = new TdGuest(td.vcpu(), cpu, td.host.module.state, {
    sharedPage: () => ({ suppressVe: true }),
    reports: new ReportPlatform({ secret: new Uint8Array(32) }),
  });
  /** The next run begins with a TDCALL; it goes on with `then`, or leaves for an interrupt. */
  const tdcall = (leaf: number, regs: Registers, then: (status: bigint) => void = () => {}): void => {
    cpu.script.push((): VmExit => {
      cpu.registers[Gpr.Rax] = BigInt(leaf);
      for (const [name, value] of Object.entries(regs)) cpu.registers[Gpr[name as keyof typeof Gpr]] = value;
      if (door.tdcall() === "exit") return door.takeExit()?.exit ?? { reason: "triple-fault" };
      then(cpu.registers[Gpr.Rax] ?? 0n);
      return { reason: "external-interrupt" };
    });
  };
  return { td, cpu, door, tdcall };
}

describe("host and guest", () => {
  it("a guest accepts memory: the host is asked, adds a page, and the guest has zeroes there", () => {
    const { td, tdcall } = world();
    const statuses: bigint[] = [];
    tdcall(6, { Rcx: 0x5000n });
    const asked = td.enter();
    expect([asked.regs[Gpr.Rax], asked.regs[Gpr.Rcx], asked.regs[Gpr.R8]]).toEqual([48n, 2n, 0x5000n]);
    expect((asked.regs[Gpr.Rdx] ?? 0n) & 0xfn, "ACCEPT").toBe(1n);
    td.augPage(0x5000);
    td.host.page(td.pages.get(0x5000) ?? 0).fill(0x77);
    tdcall(6, { Rcx: 0x5000n }, (status) => statuses.push(status));
    tdcall(6, { Rcx: 0x5000n }, (status) => statuses.push(status));
    td.enter();
    td.enter();
    expect(statuses).toEqual([0n, 0x0000_0b0a_0000_0000n]);
    expect(td.host.page(td.pages.get(0x5000) ?? 0)).toEqual(new Uint8Array(PAGE));
    expect(td.host.module.isPrivate(td.pages.get(0x5000) ?? 0)).toBe(true);
  });

  it("a page that the host takes away and gives again has to be accepted again", () => {
    const { td, tdcall } = world();
    td.augPage(0x5000);
    const statuses: bigint[] = [];
    for (let times = 0; times < 2; times++) {
      tdcall(6, { Rcx: 0x5000n }, (status) => statuses.push(status));
      td.enter();
      td.remove(0x5000).augPage(0x5000);
    }
    expect(statuses).toEqual([0n, 0n]);
    expect(td.td.sept?.walk(5, 1)).toBe(-1);
  });

  it("a TDVMCALL goes to the host and back by the mask, whatever the host has in its other registers", () => {
    const { td, cpu, tdcall } = world();
    tdcall(0, { Rcx: (1n << 10n) | (1n << 11n) | (1n << 12n), R10: 0n, R11: 30n, R12: 1n, R13: 0x5ec2e7n });
    const { regs } = td.enter();
    expect([...regs]).toEqual([77n, 0x1c00n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 30n, 1n, 0n, 0n, 0n]);
    const answer = td.host.call(Tdh.VpEnter, { rcx: td.vps[0]?.tdvpr ?? 0, r10: 0, r11: 0x41, rdx: 99, r8: 99 });
    expect(answer.regs[Gpr.Rax]).toBe(1n);
    const at = (gpr: Gpr) => cpu.registers[gpr];
    expect([at(Gpr.Rax), at(Gpr.R10), at(Gpr.R11), at(Gpr.R12), at(Gpr.R13)]).toEqual([0n, 0n, 0x41n, 0n, 0x5ec2e7n]);
    expect(at(Gpr.Rdx)).not.toBe(99n);
  });

  it("a report has the measurement that the host's calls made, and what the guest extended", () => {
    const { td, tdcall } = world();
    tdcall(2, { Rcx: 0n, Rdx: 3n });
    tdcall(4, { Rcx: 0x400n, Rdx: 0x40n, R8: 0n });
    td.enter();
    td.enter();
    const report = parseTdReport(td.host.page(td.pages.get(0) ?? 0).slice(0x400, 0x800));
    expect(report.td.mrTd).toEqual(td.td.mrtd);
    expect(report.td.rtMr3).toEqual(td.td.rtmrs[3]);
    expect(report.td.rtMr3.some((byte) => byte !== 0)).toBe(true);
    expect(report.mac.reportData).toEqual(new Uint8Array(64).fill(0xab));
  });

  it("the host reads the CPUID that the guest gets", () => {
    const { td, cpu, door } = world();
    const { regs } = td.host.must(Tdh.MngRd, { rcx: td.tdr, rdx: MNG_RD_CPUID | (0x21n << 9n) });
    expect(door.cpuid(0x21, 0)).toBe("done");
    expect(regs[Gpr.R8]).toBe((cpu.registers[Gpr.Rax] ?? 0n) | ((cpu.registers[Gpr.Rbx] ?? 0n) << 32n));
    expect(td.host.call(Tdh.MngRd, { rcx: td.tdr, rdx: MNG_RD_CPUID | (6n << 9n) | 0x100n }).text).toBe(
      "METADATA_FIELD_NOT_READABLE",
    );
  });

  it("vCPUs that all have an id of the host's may show their topology", () => {
    const plain = world();
    expect(plain.td.td.topologyEnumConfigured).toBe(false);
    const td = new TdHost(new Host().bringUp())
      .build()
      .addVcpu({ version: 1, apicId: 4 })
      .addVcpu({ version: 1, apicId: 2 });
    expect([td.td.topologyEnumConfigured, td.vcpu(0).x2ApicId, td.vcpu(1).x2ApicId]).toEqual([true, 4, 2]);
  });
});

import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { NOT_ASSOCIATED, VcpuState } from "../../src/module/td-vcpu.js";
import { Host, PAGE } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

const built = (params = {}) => new TdHost(new Host().bringUp()).build(params);
const HINT = 1n << 52n;
const RESUME_L1 = 1n << 53n;

describe("making a vCPU", () => {
  it("takes a TDVPR, at least five TDCX pages, and VP.INIT", () => {
    const { host, tdr } = built();
    const tdvpr = host.alloc();
    host.must(Tdh.VpCreate, { rcx: tdvpr, rdx: tdr });
    for (let i = 0; i < 4; i++) host.must(Tdh.VpAddCx, { rcx: host.alloc(), rdx: tdvpr });
    expect(host.call(Tdh.VpInit, { rcx: tdvpr }).text).toBe("TDCX_NUM_INCORRECT");
    expect(host.call(Tdh.VpFlush, { rcx: tdvpr }).text).toBe("TDCX_NUM_INCORRECT");
    expect(host.call(Tdh.VpRd, { rcx: tdvpr }).text).toBe("TDCX_NUM_INCORRECT");
    host.must(Tdh.VpAddCx, { rcx: host.alloc(), rdx: tdvpr });
    expect(host.call(Tdh.VpRd, { rcx: tdvpr }).text).toBe("VCPU_STATE_INCORRECT");
    host.must(Tdh.VpInit, { rcx: tdvpr });
    expect(host.call(Tdh.VpInit, { rcx: tdvpr }).text).toBe("VCPU_STATE_INCORRECT");
    expect(host.call(Tdh.VpAddCx, { rcx: host.alloc(), rdx: tdvpr }).text).toBe("VCPU_STATE_INCORRECT");
  });

  it("takes no more than 15 pages", () => {
    const { host, tdr } = built();
    const tdvpr = host.alloc();
    host.must(Tdh.VpCreate, { rcx: tdvpr, rdx: tdr });
    for (let i = 0; i < 14; i++) host.must(Tdh.VpAddCx, { rcx: host.alloc(), rdx: tdvpr });
    expect(host.call(Tdh.VpAddCx, { rcx: host.alloc(), rdx: tdvpr }).text).toBe("TDCX_NUM_INCORRECT");
  });

  it("names its operands", () => {
    const { host, tdr, tdcx } = built();
    const tdvpr = host.alloc();
    expect(host.call(Tdh.VpCreate, { rcx: tdvpr, rdx: tdvpr }).text).toBe("PAGE_METADATA_INCORRECT|2");
    expect(host.call(Tdh.VpCreate, { rcx: tdvpr + 1, rdx: tdr }).text).toBe("OPERAND_INVALID|1");
    host.must(Tdh.VpCreate, { rcx: tdvpr, rdx: tdr });
    expect(host.call(Tdh.VpCreate, { rcx: tdvpr, rdx: tdr }).text).toBe("PAGE_METADATA_INCORRECT|1");
    expect(host.call(Tdh.VpAddCx, { rcx: host.alloc(), rdx: tdr }).text).toBe("PAGE_METADATA_INCORRECT|2");
    expect(host.call(Tdh.VpAddCx, { rcx: tdcx[0] ?? 0, rdx: tdvpr }).text).toBe("PAGE_METADATA_INCORRECT|1");
    expect(host.call(Tdh.VpAddCx, { rcx: tdr, rdx: tdvpr }).text).toBe("OPERAND_BUSY|1");
    expect(host.call(Tdh.VpInit, { rcx: tdr }).text).toBe("PAGE_METADATA_INCORRECT|1");
  });

  it("numbers vCPUs in the order of their initialisation, up to MAX_VCPUS", () => {
    const td = built({ maxVcpus: 2 }).addVcpu().addVcpu({ lp: 1 });
    expect([td.vcpu(0).index, td.vcpu(1).index, td.td.numVcpus]).toEqual([0, 1, 2]);
    expect(() => td.addVcpu()).toThrow("MAX_VCPUS_EXCEEDED");
  });

  it("starts in 32-bit protected mode at 4 GiB - 16, with what VP.INIT had in RCX and R8", () => {
    const state = built().addVcpu().cpu().state;
    expect([state?.rip, state?.cr0, state?.cr4, state?.efer]).toEqual([0xffff_fff0n, 0x31n, 0x2040n, 0x901n]);
    const at = (gpr: Gpr) => state?.gprs[gpr];
    expect([at(Gpr.Rbx), at(Gpr.Rcx), at(Gpr.R8), at(Gpr.Rdx), at(Gpr.Rsi)]).toEqual([
      48n,
      0x1234n,
      0x1234n,
      0xc06f2n,
      0n,
    ]);
  });

  it("takes an x2APIC id in version 1, and no id twice; in version 0 there is no topology", () => {
    const td = built().addVcpu({ version: 1, apicId: 6 });
    expect([td.vcpu().x2ApicId, td.td.topologyEnumConfigured]).toEqual([6, true]);
    expect(() => td.addVcpu({ version: 1, apicId: 6 })).toThrow("X2APIC_ID_NOT_UNIQUE|6");
    expect(td.td.numVcpus).toBe(1);
    expect(() => td.addVcpu({ version: 1, apicId: 2 ** 32 })).toThrow("OPERAND_INVALID|8");
    td.addVcpu({ version: 1, apicId: 8 });
    expect(td.td.topologyEnumConfigured).toBe(true);
    td.addVcpu();
    expect(td.td.topologyEnumConfigured).toBe(false);
  });

  it("is over with MR.FINALIZE, which needs one", () => {
    const td = built();
    expect(td.host.call(Tdh.MrFinalize, { rcx: td.tdr }).text).toBe("NO_VCPUS");
    td.addVcpu().finalize();
    for (const leaf of [Tdh.VpCreate, Tdh.MrFinalize, Tdh.MngInit])
      expect(td.host.call(leaf, { rcx: td.tdr, rdx: td.tdr }).text).toBe("OP_STATE_INCORRECT");
    expect(td.host.call(Tdh.VpInit, { rcx: td.vps[0]?.tdvpr ?? 0 }).text).toBe("OP_STATE_INCORRECT");
  });
});

describe("TDH.VP.ENTER", () => {
  it("needs a TD that is finalized and a vCPU that is ready", () => {
    const td = built().addVcpu();
    expect(td.enter().text).toBe("OP_STATE_INCORRECT");
    td.finalize();
    expect(td.host.call(Tdh.VpEnter, { rcx: td.tdr }).text).toBe("PAGE_METADATA_INCORRECT|1");
    const rcx = BigInt(td.vps[0]?.tdvpr ?? 0);
    for (const bit of [0n, 11n, 54n, 63n])
      expect(td.host.call(Tdh.VpEnter, { rcx: rcx | (1n << bit) }).text).toBe("OPERAND_INVALID|1");
    expect(td.host.call(Tdh.VpEnter, { rcx: rcx | RESUME_L1 }).text).toBe("OPERAND_INVALID|1");
    expect(td.host.call(Tdh.VpEnter, { rcx: rcx | HINT }).text).toBe("OPERAND_INVALID|1");
    expect(td.enter().status).toBe(1n);
  });

  it("associates the vCPU with the processor, until it is flushed there", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    expect(td.vcpu().associatedLp).toBe(0);
    expect(td.enter(0, 1).text).toBe("VCPU_ASSOCIATED");
    const rcx = td.vps[0]?.tdvpr ?? 0;
    td.host.must(Tdh.VpFlush, { rcx });
    expect([td.vcpu().associatedLp, td.td.numAssociatedVcpus]).toEqual([NOT_ASSOCIATED, 0]);
    expect(td.host.call(Tdh.VpFlush, { rcx }).text).toBe("VCPU_NOT_ASSOCIATED");
    td.enter(0, 1);
    expect([td.vcpu().associatedLp, td.td.numAssociatedVcpus]).toEqual([1, 1]);
  });

  it("refuses a host's counter that went back", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    td.enter();
    td.host.tsc -= 100_000n;
    expect(td.enter().text).toBe("TSC_ROLLBACK");
  });

  it("gives the host nothing but the exit's outputs, and after a TDVMCALL what the mask selects", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    const cpu = td.cpu();
    cpu.registers.set([9n, 9n, 9n, 9n, 9n, 9n, 9n, 9n, 9n, 9n, 0n, 0x1_0001n, 12n, 13n]);
    const interrupted = td.enter();
    expect([...interrupted.regs]).toEqual([1n, ...new Array(15).fill(0n)]);
    cpu.vmcall((1n << 10n) | (1n << 11n) | (1n << 12n));
    const { regs } = td.enter();
    expect([regs[Gpr.Rax], regs[Gpr.R11], regs[Gpr.R12], regs[Gpr.R13]]).toEqual([77n, 0x1_0001n, 12n, 0n]);
    td.host.call(Tdh.VpEnter, { rcx: td.vps[0]?.tdvpr ?? 0, r10: 5, r11: 6, rdx: 7 });
    expect([cpu.registers[Gpr.R10], cpu.registers[Gpr.R11], cpu.registers[Gpr.Rdx]]).toEqual([5n, 6n, 9n]);
  });

  it("ends a vCPU with a triple fault; others go on, and debuggers may still look", () => {
    const td = built().addVcpu().addVcpu().addPage(0).finalize();
    td.cpu(0).script.push(() => ({ reason: "triple-fault" }));
    expect(td.enter(0).text).toBe("NON_RECOVERABLE_VCPU|2");
    expect(td.vcpu(0).state).toBe(VcpuState.Disabled);
    expect(td.enter(0).text).toBe("VCPU_STATE_INCORRECT");
    expect(td.enter(1).status).toBe(1n);
    const rcx = td.vps[0]?.tdvpr ?? 0;
    const first = td.host.call(Tdh.VpRd, { rcx, rdx: 2n ** 64n - 1n }, { version: 1 });
    expect(td.host.call(Tdh.VpRd, { rcx, rdx: first.regs[Gpr.Rdx] ?? 0n }).text).toBe("SUCCESS");
    expect(td.host.call(Tdh.VpWr, { rcx, rdx: 0xa020_0000_0000_000bn, r8: 1, r9: 1 }).text).toBe(
      "VCPU_STATE_INCORRECT",
    );
  });

  it("flushes translations of a vCPU that is new here, of another epoch, or not the last one here", () => {
    const td = built().addVcpu().addVcpu().addPage(0).finalize();
    const flushes = (index: number) => td.cpu(index).flushes;
    td.enter(0);
    const before = flushes(0);
    td.enter(0);
    expect(flushes(0)).toBe(before);
    td.host.must(Tdh.Track, { rcx: td.tdr });
    td.enter(0);
    expect([flushes(0), td.vcpu(0).epoch]).toEqual([before + 1, 2]);
    td.enter(1);
    td.enter(0);
    expect(flushes(0)).toBe(before + 2);
  });

  it("keeps a vCPU out that a host lets fault at one instruction, while the page is not there", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    const cpu = td.cpu();
    const fault = () =>
      cpu.script.push(() => ({ reason: "ept-violation", violation: { gpa: 5 * PAGE, access: "write" } }));
    for (let i = 0; i < 7; i++) {
      fault();
      expect(td.enter().regs[Gpr.R8]).toBe(BigInt(5 * PAGE));
    }
    const { runs } = cpu;
    const made = td.enter();
    expect([made.status, made.regs[Gpr.R8], cpu.runs]).toEqual([48n, BigInt(5 * PAGE), runs]);
    const release = td.host.module.hold(td.td.septLock, "shared");
    expect(td.enter().text).toBe("OPERAND_BUSY|146");
    release();
    expect(td.td.epoch.running).toEqual([0, 0]);
    td.vcpu().epfGpas.splice(0, 1, 0);
    expect(td.enter().status).toBe(1n);
    expect(cpu.runs).toBe(runs + 1);
  });

  it("forgets faults of an instruction that the guest has got past", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    const cpu = td.cpu();
    for (let i = 0; i < 20; i++) {
      cpu.script.push(() => {
        cpu.rip += 4n;
        return { reason: "ept-violation", violation: { gpa: 5 * PAGE, access: "read" } };
      });
      td.enter();
    }
    expect([td.vcpu().epfGpas, cpu.runs]).toEqual([[], 20]);
  });

  it("leaves nothing locked when the machine below fails", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    td.cpu().script.push(() => {
      throw new RangeError("the machine is broken");
    });
    expect(() => td.enter()).toThrow("the machine is broken");
    expect(td.td.epoch.running).toEqual([0, 0]);
    expect(td.enter().status).toBe(1n);
    td.destroy();
  });

  it("writes the host's fields of a vCPU, and reads them", () => {
    const td = built().addVcpu();
    const rcx = td.vps[0]?.tdvpr ?? 0;
    const pendNmi = 0x2000_0000_0000_000bn;
    expect(td.host.call(Tdh.VpWr, { rcx, rdx: pendNmi, r8: 1, r9: 1 }).text).toBe("SUCCESS");
    expect(td.vcpu().pendNmi).toBe(true);
    const first = td.host.call(Tdh.VpRd, { rcx, rdx: 2n ** 64n - 1n }, { version: 1 });
    expect(first.text).toBe("METADATA_FIRST_FIELD_ID_IN_CONTEXT");
    expect(td.host.call(Tdh.VpRd, { rcx, rdx: 0x1000_0003_0000_0000n }).text).toBe("METADATA_FIELD_NOT_READABLE");
    td.host.must(Tdh.VpFlush, { rcx });
    expect(td.host.call(Tdh.VpWr, { rcx, rdx: pendNmi, r8: 0, r9: 1 }, { lp: 2 }).text).toBe("SUCCESS");
    expect(td.vcpu().associatedLp).toBe(2);
    expect(td.host.call(Tdh.VpWr, { rcx, rdx: pendNmi, r8: 0, r9: 1 }, { lp: 0 }).text).toBe("VCPU_ASSOCIATED");
  });
});

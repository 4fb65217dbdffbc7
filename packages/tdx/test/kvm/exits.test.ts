import { beforeAll, describe, expect, test } from "vitest";
import type { TdPlatform } from "../../src/kvm/ports.js";
import { Tdh } from "../../src/kvm/seamcalls.js";
import { TdvmcallLeaf, TdvmcallStatus } from "../../src/kvm/tdvmcall.js";
import { Gpr } from "../../src/module/gpr.js";
import { Status } from "../../src/module/status.js";
import { call } from "./call.js";
import { errnoOf, newHost, runningTd } from "./fixture.js";
import { tdvmcall, touch } from "./guest.js";
import { PAGE } from "./memory.js";

const world = newHost();
const SHARED = 2n ** 47n;
type Td = Awaited<ReturnType<typeof runningTd>>;
const withPorts = (platform: Partial<TdPlatform>) => runningTd(world, { platform: platform as TdPlatform });

describe("TDVMCALLs that the machine answers", () => {
  let td: Td;
  beforeAll(async () => {
    td = await runningTd(world);
    return () => td.destroy();
  });

  test("IN gives as many bits as were asked for", async () => {
    expect(await call(td, TdvmcallLeaf.Io, { R12: 1n, R14: 0x3fdn })).toMatchObject({ r10: 0n, r11: 0xfen });
    expect(td.log.at(-1)).toBe("io 1021 1 false 0");
  });

  test("OUT", async () => {
    expect(await call(td, TdvmcallLeaf.Io, { R12: 2n, R13: 1n, R14: 0x80n, R15: 0x1_2345n })).toMatchObject({
      r10: 0n,
    });
    expect(td.log.at(-1)).toBe("io 128 2 true 9029");
  });

  test("MMIO", async () => {
    const gpa = SHARED + 0xfec0_0010n;
    expect(await call(td, TdvmcallLeaf.Mmio, { R12: 4n, R14: gpa })).toMatchObject({ r10: 0n, r11: 0x5566_7788n });
    await call(td, TdvmcallLeaf.Mmio, { R12: 8n, R13: 1n, R14: gpa, R15: 2n ** 63n });
    expect(td.log.at(-1)).toBe(`mmio ${0xfec0_0010} 8 true ${2n ** 63n}`);
  });

  test("CPUID", async () => {
    const answer = await call(td, TdvmcallLeaf.Cpuid, { R12: 0xbn, R13: 1n });
    expect(answer).toMatchObject({ r10: 0n, r12: 0xbn, r13: 1n, r14: 3n, r15: 0n });
  });

  test.each<[string, TdvmcallLeaf, bigint, bigint, bigint]>([
    ["RDMSR", TdvmcallLeaf.Rdmsr, 0x1bn, TdvmcallStatus.SUCCESS, 0xfee0_0d00n],
    ["RDMSR of IA32_FEAT_CTL", TdvmcallLeaf.Rdmsr, 0x3an, TdvmcallStatus.SUCCESS, 1n],
    ["RDMSR of what the machine does not have", TdvmcallLeaf.Rdmsr, 0xfen, TdvmcallStatus.INVALID_OPERAND, 31n],
    ["RDMSR of what is none of KVM's", TdvmcallLeaf.Rdmsr, 0x808n, TdvmcallStatus.INVALID_OPERAND, 31n],
    ["WRMSR", TdvmcallLeaf.Wrmsr, 0x6e0n, TdvmcallStatus.SUCCESS, 32n],
    ["WRMSR that is not taken", TdvmcallLeaf.Wrmsr, 0x830n, TdvmcallStatus.INVALID_OPERAND, 32n],
    ["WRMSR to what is read only", TdvmcallLeaf.Wrmsr, 0x1bn, TdvmcallStatus.INVALID_OPERAND, 32n],
  ])("%s", async (_what, leaf, R12, r10, r11) => expect(await call(td, leaf, { R12 })).toMatchObject({ r10, r11 }));

  test("HLT says whether interrupts are blocked", async () => {
    expect((await call(td, TdvmcallLeaf.Hlt)).exit).toEqual({ reason: "hlt", interruptsBlocked: false });
    expect((await call(td, TdvmcallLeaf.Hlt, { R12: 1n })).exit).toEqual({ reason: "hlt", interruptsBlocked: true });
  });

  test("GetTdVmCallInfo: the base set, and nothing beyond without a port for it", async () => {
    const nothing = { r10: 0n, r11: 0n, r12: 0n, r13: 0n, r14: 0n };
    expect(await call(td, TdvmcallLeaf.GetTdVmCallInfo, { R14: 5n })).toMatchObject(nothing);
    expect(await call(td, TdvmcallLeaf.GetTdVmCallInfo, { R12: 1n })).toMatchObject(nothing);
  });

  test.each([TdvmcallLeaf.GetQuote, TdvmcallLeaf.SetupEventNotifyInterrupt, 0x10005n])(
    "0x%s is not supported without a port for it",
    async (leaf) => {
      const operands = { R12: leaf === TdvmcallLeaf.GetQuote ? SHARED : 64n, R13: 4096n };
      expect((await call(td, leaf, operands)).r10).toBe(TdvmcallStatus.SUBFUNC_UNSUPPORTED);
    },
  );

  test("a hypercall of KVM's own gets -KVM_ENOSYS", async () => {
    td.cpu.script = [tdvmcall({ R10: 5n })];
    await td.vm.run(td.task, td.vcpu);
    await td.vm.run(td.task, td.vcpu);
    expect(BigInt.asIntN(64, td.cpu.regs[Gpr.R10] as bigint)).toBe(-1000n);
  });

  test("malformed operands get INVALID_OPERAND, and nobody is asked", async () => {
    const before = td.log.length;
    expect((await call(td, TdvmcallLeaf.Io, { R12: 3n })).r10).toBe(TdvmcallStatus.INVALID_OPERAND);
    expect((await call(td, TdvmcallLeaf.Mmio, { R12: 4n, R14: 0xfec0_0000n })).r10).toBe(
      TdvmcallStatus.INVALID_OPERAND,
    );
    expect(td.log).toHaveLength(before);
  });

  test("ReportFatalError hands over code, message and registers", async () => {
    const text = (part: string) =>
      [...part.padEnd(8, "\0")].reduceRight((sum, c) => (sum << 8n) | BigInt(c.charCodeAt(0)), 0n);
    const registers = { R12: 0x11n, R14: text("TD misco"), R15: text("nfigured"), Rbx: text(": \x07no") };
    const { exit } = await call(td, TdvmcallLeaf.ReportFatalError, registers);
    expect(exit).toMatchObject({ reason: "tdx-fatal", code: 0x11, message: "TD misconfigured: .no", gpa: null });
    expect(exit.reason === "tdx-fatal" && exit.registers).toHaveLength(16);
    expect(
      (await call(td, TdvmcallLeaf.ReportFatalError, { R12: 2n ** 63n, R13: SHARED + 0x5000n })).exit,
    ).toMatchObject({
      message: "",
      gpa: 0x5000,
    });
  });
});

describe("ports that the machine may have", () => {
  test("quote service, notification vector, hypercalls", async () => {
    const log: unknown[] = [];
    const td = await withPorts({
      getQuote: (_vcpu, gpa, size) => {
        log.push(["quote", gpa, size]);
        return TdvmcallStatus.GPA_INUSE;
      },
      setupEventNotify: (_vcpu, vector) => {
        log.push(["notify", vector]);
        return 0n;
      },
      hypercall: (_vcpu, nr, args) => Promise.resolve(nr + (args[3] ?? 0n)),
    });
    const quote = await call(td, TdvmcallLeaf.GetQuote, { R12: SHARED + 0x2000n, R13: 0x20000n });
    expect(quote.r10).toBe(TdvmcallStatus.GPA_INUSE);
    expect((await call(td, TdvmcallLeaf.SetupEventNotifyInterrupt, { R12: 64n })).r10).toBe(0n);
    expect(log).toEqual([
      ["quote", 0x2000, 0x20000n],
      ["notify", 64],
    ]);
    expect((await call(td, TdvmcallLeaf.GetTdVmCallInfo, { R12: 1n })).r11).toBe(2n);
    td.cpu.script = [tdvmcall({ R10: 5n, R14: 2n })];
    await td.vm.run(td.task, td.vcpu);
    await td.vm.run(td.task, td.vcpu);
    expect(td.cpu.regs[Gpr.R10]).toBe(7n);
    await td.destroy();
  });

  test("while the machine takes its time the vCPU stays out of the guest, and its mutex is free", async () => {
    let answer = (_value: number): void => undefined;
    const td = await withPorts({ io: () => new Promise<number>((resolve) => (answer = resolve)) });
    td.cpu.script = [tdvmcall({ R11: 30n, R12: 4n, R14: 0xcfcn })];
    const pending = td.vm.run(td.task, td.vcpu);
    expect(pending).toBeInstanceOf(Promise);
    const entries = td.cpu.entries;
    expect(td.vm.run(td.task, td.vcpu)).toEqual({ reason: "busy" });
    expect(td.cpu.entries).toBe(entries);
    expect(td.vcpu.mutex.owner).toBeUndefined();
    answer(0x1234);
    expect(await pending).toEqual({ reason: "handled" });
    expect(td.vcpu.mutex.owner).toBeUndefined();
    await td.vm.run(td.task, td.vcpu);
    expect(td.cpu.regs[Gpr.R11]).toBe(0x1234n);
    await td.destroy();
  });
});

test("a TD that is destroyed while the machine takes its time", async () => {
  let answer = (_value: number): void => undefined;
  const td = await withPorts({ io: () => new Promise<number>((resolve) => (answer = resolve)) });
  td.cpu.script = [tdvmcall({ R11: 30n, R12: 4n, R14: 0xcfcn })];
  const pending = td.vm.run(td.task, td.vcpu);
  await td.destroy();
  answer(1);
  expect(await pending).toEqual({ reason: "handled" });
  expect(await errnoOf(() => td.vm.run(td.task, td.vcpu))).toBe("EIO");
});

describe("other exits", () => {
  test.each(["external-interrupt", "nmi"] as const)("%s", async (reason) => {
    const td = await runningTd(world);
    td.cpu.script = [() => ({ reason })];
    expect(td.vm.run(td.task, td.vcpu)).toEqual({ reason });
    await td.destroy();
  });

  test("a triple fault is a shutdown, and the vCPU never runs again", async () => {
    const td = await runningTd(world);
    td.cpu.script = [() => ({ reason: "triple-fault" })];
    expect(td.vm.run(td.task, td.vcpu)).toEqual({ reason: "shutdown" });
    expect(td.vm.run(td.task, td.vcpu)).toMatchObject({ reason: "internal-error" });
    expect(td.cpu.entries).toBe(1);
    await td.destroy();
  });

  test("an NMI waits in the module until the vCPU takes it", async () => {
    const td = await runningTd(world);
    td.vm.injectNmi(td.vcpu);
    expect([td.cpu.vcpu.pendNmi, td.vm.bugs]).toEqual([true, []]);
    await td.destroy();
  });

  test("no page for a table of the secure EPT: the TD lives, and the guest can try again", async () => {
    const td = await runningTd(world);
    world.frames.left = 2;
    td.cpu.script = [touch(0x20_0000), touch(0x20_0000)];
    expect(await td.vm.run(td.task, td.vcpu)).toEqual({ reason: "no-memory", gpa: 0x20_0000 });
    world.frames.left = 100_000;
    expect(await td.vm.run(td.task, td.vcpu)).toEqual({ reason: "handled" });
    await td.destroy();
  });

  test("an exit that nobody knows is an internal error with what VP.ENTER returned", async () => {
    const td = await runningTd(world);
    td.cpu.script = [() => ({ reason: "other", exitReason: 9 })];
    expect(td.vm.run(td.task, td.vcpu)).toEqual({ reason: "internal-error", vpEnterRet: 9n });
    await td.destroy();
  });

  test("what the module refuses has no exit reason, whatever is in its lower half", async () => {
    const td = await runningTd(world);
    const status = Status.OPERAND_INVALID | 2n;
    world.interposer.refuse = (leaf) => (leaf === Tdh.VpEnter ? status : undefined);
    expect(td.vm.run(td.task, td.vcpu)).toEqual({ reason: "internal-error", vpEnterRet: status });
    world.interposer.refuse = (leaf) => (leaf === Tdh.VpEnter ? Status.OPERAND_BUSY | 0xa9n : undefined);
    expect(td.vm.run(td.task, td.vcpu)).toEqual({ reason: "busy" });
    world.interposer.refuse = () => undefined;
    await td.destroy();
  });

  test("private memory is mapped pending, as for a write", async () => {
    const faults: unknown[] = [];
    const td = await runningTd(world);
    const { faultIn } = td.vm.platform;
    td.vm.platform.faultIn = (task, vcpu, gpa, isPrivate, access) => {
      faults.push([gpa, isPrivate, access]);
      return faultIn(task, vcpu, gpa, isPrivate, access);
    };
    td.cpu.script = [touch(0x20_0123, "read")];
    expect(td.vm.run(td.task, td.vcpu)).toEqual({ reason: "handled" });
    expect(faults).toEqual([[0x20_0000, true, "write"]]);
    expect(td.td()?.sept?.walk(0x200, 1)).toBe(-1);
    await td.destroy();
  });

  test("a private fault that meets somebody is tried again before the guest is entered", async () => {
    let tries = 0;
    const td = await withPorts({ faultIn: () => (++tries < 4 ? "retry" : "fixed") });
    td.cpu.script = [touch(0x20_0000)];
    expect(await td.vm.run(td.task, td.vcpu)).toEqual({ reason: "handled" });
    expect([tries, td.cpu.entries]).toEqual([4, 1]);
    await td.destroy();
  });

  test("but not while the vCPU has an interrupt waiting", async () => {
    let tries = 0;
    const td = await withPorts({ faultIn: () => (++tries > 0 ? "retry" : "fixed"), hasEvents: () => true });
    td.cpu.script = [touch(0x20_0000)];
    expect(await td.vm.run(td.task, td.vcpu)).toEqual({ reason: "handled" });
    expect(tries).toBe(1);
    await td.destroy();
  });

  test("memory of the other kind is a memory fault", async () => {
    const td = await withPorts({ faultIn: () => Promise.resolve("memory-fault") });
    td.cpu.script = [touch(0x20_0000), touch(2 ** 47 + 0x30_0000, "write")];
    const page = { reason: "memory-fault", size: PAGE };
    expect(await td.vm.run(td.task, td.vcpu)).toEqual({ ...page, gpa: 0x20_0000, isPrivate: true });
    expect(await td.vm.run(td.task, td.vcpu)).toEqual({ ...page, gpa: 0x30_0000, isPrivate: false });
    await td.destroy();
  });

  test("an access to a page that the guest has not accepted is the end of the VM", async () => {
    const td = await runningTd(world);
    const violation = { gpa: 0x20_0000, access: "read", extended: { type: "pending-ept-violation" } } as const;
    td.cpu.script = [() => ({ reason: "ept-violation", violation })];
    expect(td.vm.run(td.task, td.vcpu)).toMatchObject({ reason: "vm-dead" });
    expect(await errnoOf(() => td.vm.run(td.task, td.vcpu))).toBe("EIO");
    await td.destroy();
  });

  test("a fetch from shared memory is the end of the VM", async () => {
    const td = await runningTd(world);
    td.cpu.script = [touch(2 ** 47 + 0x1000, "fetch")];
    expect(td.vm.run(td.task, td.vcpu)).toMatchObject({ reason: "vm-dead" });
    expect(td.vm.bugs).toHaveLength(1);
    await td.destroy();
  });
});

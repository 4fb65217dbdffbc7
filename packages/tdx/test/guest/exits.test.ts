import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import type { VmExit } from "../../src/module/guest-cpu.js";
import { SeptState } from "../../src/module/sept-state.js";
import { Attribute } from "../../src/module/td.js";
import { copyTdVmCallInputs, writeExitOutputs } from "../../src/module/td-exit.js";
import { LastExit, VcpuState } from "../../src/module/td-vcpu.js";
import { call, guest } from "./fixture.js";

type Guest = ReturnType<typeof guest>;

describe("what a guest may not do itself", () => {
  const reasons: readonly [string, (td: Guest) => unknown, number, bigint][] = [
    ["HLT", ({ door }) => door.hlt(), 12, 0n],
    ["INVD", ({ door }) => door.invd(), 13, 0n],
    ["VMCALL", ({ door }) => door.vmcall(), 18, 0n],
    ["MWAIT", ({ door }) => door.mwait(), 36, 0n],
    ["MONITOR", ({ door }) => door.monitor(), 39, 0n],
    ["WBINVD", ({ door }) => door.wbinvd(), 54, 0n],
    ["a write to the APIC", ({ door }) => door.apicWrite(0x300), 56, 0x300n],
    ["PCONFIG", ({ door }) => door.pconfig(), 65, 0n],
    ["OUT DX, EAX", ({ door }) => door.io({ port: 0xcf8, size: 4, isIn: false }), 30, 0xcf8_0003n],
    ["IN AL, imm8", ({ door }) => door.io({ port: 0x21, size: 1, isIn: true, isImmediate: true }), 30, 0x21_0048n],
    [
      "REP INSW",
      ({ door }) => door.io({ port: 0x1f0, size: 2, isIn: true, isString: true, hasRep: true }),
      30,
      0x1f0_0039n,
    ],
  ];
  it.each(reasons)("%s is #VE", (_name, act, reason, qualification) => {
    const td = guest();
    td.cpu.instructionLength = 3;
    expect(act(td)).toBe("exception");
    expect(td.cpu.injected).toEqual([[20, null]]);
    expect(td.vcpu.veInfo).toEqual({
      valid: true,
      exitReason: reason,
      qualification,
      gla: 0n,
      gpa: 0,
      instructionLength: 3,
      instructionInfo: 0,
    });
  });

  it("a second #VE before VEINFO.GET is #DF, and the first one's information stays", () => {
    const td = guest();
    td.door.hlt();
    expect(td.door.wbinvd()).toBe("exception");
    expect(td.cpu.injected).toEqual([
      [20, null],
      [8, 0],
    ]);
    expect(td.vcpu.veInfo.exitReason).toBe(12);
    call(td, 3);
    td.door.wbinvd();
    expect(td.cpu.injected.at(-1)).toEqual([20, null]);
  });

  it("VMX, SGX and their like are #UD, ENQCMD is #GP(0), RDPMC by PERFMON", () => {
    const td = guest();
    td.door.undefinedInstruction();
    td.door.enqcmd();
    td.door.rdpmc();
    expect(td.cpu.injected).toEqual([
      [6, null],
      [13, 0],
      [13, 0],
    ]);
    expect(guest({ attributes: Attribute.PERFMON }).door.rdpmc()).toBe("native");
  });

  it("XSETBV takes what the processor and XFAM have", () => {
    const td = guest();
    expect(td.door.xsetbv(0, 0x203n)).toBe("native");
    expect(td.door.xsetbv(0, 1n)).toBe("native");
    for (const [index, value] of [
      [0, 0x202n],
      [0, 7n],
      [0, 0n],
      [1, 1n],
    ] as const)
      expect(td.door.xsetbv(index, value)).toBe("exception");
    expect(guest({ xfam: 3n }).door.xsetbv(0, 0x203n)).toBe("exception");
    expect(td.cpu.injected.every(([vector]) => vector === 13)).toBe(true);
  });

  it("an NMI of the host waits for the guest to take its #VE", () => {
    const td = guest();
    expect(td.door.deliverPendingNmi()).toBe(false);
    td.vcpu.pendNmi = true;
    td.door.hlt();
    expect(td.door.deliverPendingNmi()).toBe(false);
    call(td, 3);
    expect(td.door.deliverPendingNmi()).toBe(true);
    expect(td.cpu.injected.at(-1)).toEqual([2, null]);
    expect(td.door.deliverPendingNmi()).toBe(false);
  });
});

describe("control registers", () => {
  const vector = (td: Guest, register: number, value: bigint) => {
    td.cpu.injected.length = 0;
    td.vcpu.veInfo.valid = false;
    const outcome = td.door.controlRegister(register, value, 3);
    return outcome === "native" ? "native" : td.cpu.injected[0]?.[0];
  };
  const CR0 = 0x8005_0033n;

  it("CR0: NE and PE stay, caches are not turned off", () => {
    const td = guest();
    expect(vector(td, 0, CR0)).toBe("native");
    expect(vector(td, 0, CR0 & ~0x20n), "NE").toBe(13);
    expect(vector(td, 0, CR0 & ~1n), "PG without PE").toBe(13);
    expect(vector(td, 0, 0x32n), "no PE").toBe(20);
    expect(vector(td, 0, CR0 | (1n << 30n)), "CD").toBe(20);
    expect(td.vcpu.veInfo).toMatchObject({ exitReason: 28, qualification: 0x300n });
    expect(vector(td, 0, CR0 | (1n << 32n))).toBe(13);
    td.cpu.cr4 |= 1n << 23n;
    expect(vector(td, 0, CR0 & ~(1n << 16n)), "WP under CET").toBe(13);
  });

  it("CR4: MCE stays, VMXE and SMXE are not there, features by XFAM and ATTRIBUTES", () => {
    const td = guest();
    expect(vector(td, 4, 0x60n | (1n << 22n)), "PKE").toBe("native");
    expect(vector(td, 4, 0x20n), "MCE").toBe(20);
    expect(td.vcpu.veInfo).toMatchObject({ exitReason: 28, qualification: 0x304n });
    expect(vector(td, 4, 0x2060n), "VMXE").toBe(20);
    expect(vector(td, 4, 0x4060n), "SMXE").toBe(20);
    for (const at of [19n, 23n, 24n, 25n]) expect(vector(td, 4, 0x60n | (1n << at)), `bit ${at}`).toBe(13);
    expect(vector(guest({ xfam: 3n }), 4, 0x60n | (1n << 22n)), "PKE without PKRU").toBe(13);
    expect(vector(guest({ attributes: Attribute.PKS }), 4, 0x60n | (1n << 24n)), "PKS").toBe("native");
    const cet = guest({ xfam: 0x1803n });
    expect(vector(cet, 4, 0x60n | (1n << 23n)), "CET").toBe("native");
    cet.cpu.cr0 &= ~(1n << 16n);
    expect(vector(cet, 4, 0x60n | (1n << 23n)), "CET without WP").toBe(13);
  });

  it("others are the processor's", () => {
    expect(guest().door.controlRegister(3, 0x1000n)).toBe("native");
    expect(guest().door.controlRegister(8, 15n)).toBe("native");
  });
});

describe("EPT violations", () => {
  it("a pending page is #VE, or an exit for a TD that does not want to be told", () => {
    const told = guest({ tdCtls: 0n });
    told.map(0x5000, 0x7000, SeptState.Pending);
    expect(told.door.privateViolation(0x5123, 0xabcn, "read")).toBe("exception");
    expect(told.vcpu.veInfo).toMatchObject({ exitReason: 48, gpa: 0x5123, gla: 0xabcn, qualification: 0x181n });
    const silent = guest();
    silent.map(0x5000, 0x7000, SeptState.Pending);
    expect(silent.door.privateViolation(0x5123, 0n, "fetch")).toBe("exit");
    expect(silent.door.takeExit()).toEqual({
      completed: false,
      exit: {
        reason: "ept-violation",
        violation: { gpa: 0x5123, access: "fetch", extended: { type: "pending-ept-violation" } },
      },
    });
    expect(silent.door.takeExit()).toBeUndefined();
  });

  it("a blocked page, and none at all, are exits", () => {
    const td = guest({ tdCtls: 0n });
    td.map(0x5000, 0x7000, SeptState.PendingBlocked);
    for (const gpa of [0x5000, 0x9000]) {
      expect(td.door.privateViolation(gpa, 0n, "write")).toBe("exit");
      expect(td.door.takeExit()?.exit).toEqual({ reason: "ept-violation", violation: { gpa, access: "write" } });
    }
    expect(td.cpu.injected).toEqual([]);
  });

  it("an operand of a TDCALL in a pending page is #VE as well, and the leaf has done nothing", () => {
    const td = guest({ tdCtls: 0n });
    td.map(0x5000, 0x7000, SeptState.Pending);
    expect(call(td, 2, { Rcx: 0x5000n, Rdx: 0n })).toEqual({ outcome: "exception", status: 2n });
    expect(td.vcpu.veInfo).toMatchObject({ exitReason: 48, gpa: 0x5000, qualification: 1n });
    expect(td.td.rtmrs[0]).toEqual(new Uint8Array(48));
  });

  it("shared memory with the #VE not suppressed is #VE for operands, too", () => {
    const td = guest();
    td.shared.set(0x9000, { suppressVe: false });
    td.map(0x5000, 0x7000);
    expect(call(td, 4, { Rcx: 0x5000n, Rdx: BigInt(2 ** 47 + 0x9000), R8: 0n }).outcome).toBe("exception");
    expect(td.vcpu.veInfo.gpa).toBe(2 ** 47 + 0x9000);
  });
});

describe("registers at exit and entry", () => {
  /** What the host has after an exit; its registers were all ones before. */
  function leave(td: Guest, exit: VmExit) {
    const regs = new BigUint64Array(16).fill((1n << 64n) - 1n);
    const xmm = new Uint8Array(256).fill(0xff);
    writeExitOutputs(td.vcpu, td.cpu, exit, regs, xmm);
    return { regs, xmm };
  }
  const others = (regs: BigUint64Array, named: readonly Gpr[]) =>
    regs.filter((value, gpr) => value !== 0n && gpr !== Gpr.Rsp && !named.includes(gpr));

  it("TDVMCALL: what the mask selects, zero for the rest, RSP of the host", () => {
    const td = guest();
    for (let i = 0; i < 16; i++) td.cpu.registers[i] = BigInt(100 + i);
    td.cpu.xmmBytes.set(new Uint8Array(16).fill(5), 16);
    td.cpu.registers[Gpr.Rcx] = (1n << 10n) | (1n << 3n) | (1n << 17n);
    const { regs, xmm } = leave(td, { reason: "tdcall" });
    expect([regs[Gpr.Rax], regs[Gpr.Rcx], regs[Gpr.R10], regs[Gpr.Rbx]]).toEqual([77n, 0x2_0408n, 110n, 103n]);
    expect(others(regs, [Gpr.Rax, Gpr.Rcx, Gpr.R10, Gpr.Rbx])).toHaveLength(0);
    expect(regs[Gpr.Rsp]).toBe((1n << 64n) - 1n);
    expect(xmm.slice(0, 32)).toEqual(Uint8Array.from({ length: 32 }, (_, k) => (k < 16 ? 0 : 5)));
    expect(td.vcpu.lastExit).toBe(LastExit.TdVmCall);
  });

  it("entry after TDVMCALL: the host changes only what the mask selects", () => {
    const td = guest();
    for (let i = 0; i < 16; i++) td.cpu.registers[i] = BigInt(100 + i);
    td.cpu.registers[Gpr.Rcx] = (1n << 11n) | (1n << 18n);
    const regs = new BigUint64Array(16).map((_, k) => BigInt(200 + k));
    copyTdVmCallInputs(td.cpu, regs, new Uint8Array(256).fill(9));
    expect([...td.cpu.registers]).toEqual(
      Array.from({ length: 16 }, (_, k) => (k === 0 ? 0n : k === 1 ? 0x4_0800n : BigInt(k === 11 ? 211 : 100 + k))),
    );
    expect(td.cpu.xmmBytes.reduce((sum, byte) => sum + byte, 0)).toBe(16 * 9);
    expect(td.cpu.xmmBytes[32]).toBe(9);
  });

  it("NO_RBP_MOD: RBP of the host stays", () => {
    expect(leave(guest(), { reason: "external-interrupt" }).regs[Gpr.Rbp]).toBe(0n);
    expect(leave(guest({ configFlags: 4n }), { reason: "external-interrupt" }).regs[Gpr.Rbp]).toBe((1n << 64n) - 1n);
  });

  it("asynchronous exits: reason, qualifications, address of the page; nothing of the guest", () => {
    const td = guest();
    td.cpu.registers.fill(0x5ec2e7n);
    const violation = { gpa: 0x5123, access: "write", extended: { type: "pending-ept-violation" } } as const;
    const { regs } = leave(td, { reason: "ept-violation", violation });
    expect([regs[Gpr.Rax], regs[Gpr.Rcx], regs[Gpr.Rdx], regs[Gpr.R8]]).toEqual([48n, 2n, 6n, 0x5000n]);
    expect(others(regs, [Gpr.Rax, Gpr.Rcx, Gpr.Rdx, Gpr.R8])).toHaveLength(0);
    expect(leave(td, { reason: "external-interrupt" }).regs[Gpr.Rax]).toBe(1n);
    const nmi = leave(td, { reason: "nmi" }).regs;
    expect([nmi[Gpr.Rax], nmi[Gpr.R9]]).toEqual([0n, 0x8000_0202n]);
    expect(
      leave(td, { reason: "other", exitReason: 9, qualification: 5n, interruptionInfo: 6 }).regs.slice(0, 3),
    ).toEqual(BigUint64Array.of(9n, 5n, 0n));
    expect(td.vcpu.lastExit).toBe(LastExit.AsyncFault);
    leave(td, { reason: "other", exitReason: 74, trap: true });
    expect(td.vcpu.lastExit).toBe(LastExit.AsyncTrap);
  });

  it("ACCEPT: level asked for, level, state and kind of the entry in RDX", () => {
    const extended = { type: "accept", requestedLevel: 1, entryLevel: 2, entryState: 5, entryIsLeaf: true } as const;
    const { regs } = leave(guest(), { reason: "ept-violation", violation: { gpa: 0, access: "write", extended } });
    expect(regs[Gpr.Rdx]).toBe(1n | (BigInt(1 | (2 << 3) | (5 << 6) | (1 << 14)) << 32n));
  });

  it("a guest that waits for a host too long is a trap", () => {
    const td = guest();
    expect(leave(td, { reason: "host-priority-busy-timeout" }).regs[Gpr.Rax]).toBe(0x9000_0205_0000_0000n);
    expect(td.vcpu.lastExit).toBe(LastExit.AsyncTrap);
  });

  it("a triple fault ends the vCPU", () => {
    const td = guest();
    expect(leave(td, { reason: "triple-fault" }).regs[Gpr.Rax]).toBe(0x4000_0001_0000_0002n);
    expect(td.vcpu.state).toBe(VcpuState.Disabled);
  });
});

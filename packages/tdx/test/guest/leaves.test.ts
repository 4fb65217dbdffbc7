import { sha384 } from "@noble/hashes/sha2.js";
import { describe, expect, it } from "vitest";
import { NO_FIELD } from "../../src/metadata/field-id.js";
import { Gpr } from "../../src/module/gpr.js";
import { SeptTable } from "../../src/module/sept.js";
import { SeptState } from "../../src/module/sept-state.js";
import { parseTdReport } from "../../src/report/parse.js";
import { call, guest } from "./fixture.js";

const INVALID = 0xc000_0100_0000_0000n;
const [RAX, RCX, RDX, R8] = [0n, 1n, 2n, 8n];
const BUSY = 0x8000_0200_0000_0000n;

describe("TDCALL", () => {
  it("is #GP(0) for user code and outside 64-bit code, and changes nothing", () => {
    for (const change of [{ cpl: 3 }, { cpl: 1 }, { is64Bit: false }]) {
      const td = guest();
      Object.assign(td.cpu, change);
      expect(call(td, 1, { Rcx: 7n })).toEqual({ outcome: "exception", status: 1n });
      expect(td.cpu.injected).toEqual([[13, 0]]);
      expect(td.cpu.gpr.get(Gpr.Rcx)).toBe(7n);
    }
  });

  it("has no other leaves, versions and flags than those in its table", () => {
    const td = guest();
    for (const leaf of [13, 17, 18, 20, 21, 28, 0xffff]) expect(call(td, leaf).status).toBe(INVALID | RAX);
    expect(call(td, 1, {}, 1).status).toBe(INVALID | RAX);
    expect(call(td, 7, {}, 2).status).toBe(INVALID | RAX);
    td.cpu.gpr.set(Gpr.Rax, 1n | (1n << 24n));
    td.door.tdcall();
    expect(td.cpu.gpr.get(Gpr.Rax)).toBe(INVALID | RAX);
    expect(td.cpu.injected).toEqual([]);
  });

  it("is traced with its registers as they were", () => {
    const td = guest();
    const records: unknown[] = [];
    td.door.onTrace = (record) => records.push(record);
    call(td, 1, { Rcx: 5n });
    call(td, 0, { Rcx: 0n });
    expect(records).toMatchObject([
      { kind: "tdcall", leaf: 1, name: "TDG.VP.INFO", status: 0n, tdvpr: 0x3000 },
      { kind: "tdcall", leaf: 0, name: "TDG.VP.VMCALL", status: 0n },
    ]);
  });
});

describe("a lock that a host wants", () => {
  it("is busy for the guest until the host had it, and the host is told after a while", () => {
    const td = guest();
    td.map(0x5000, 0x7000);
    const extend = () => call(td, 2, { Rcx: 0x5000n, Rdx: 0n });
    td.td.rtmrLock.acquire("shared", true);
    td.td.rtmrLock.acquire("exclusive");
    td.td.rtmrLock.release("shared");
    expect(extend()).toEqual({ outcome: "done", status: BUSY | 168n });
    td.clock.now = 999_999_999n;
    expect(extend()).toEqual({ outcome: "done", status: BUSY | 168n });
    td.clock.now = 1_000_000_000n;
    expect(extend()).toEqual({ outcome: "exit", status: BUSY | 168n });
    expect(td.door.takeExit()).toEqual({ completed: true, exit: { reason: "host-priority-busy-timeout" } });
    expect(extend().outcome).toBe("done");
    td.td.rtmrLock.acquire("exclusive");
    td.td.rtmrLock.release("exclusive");
    expect(extend().status).toBe(0n);
    expect(td.vcpu.hostPrioritySince).toBeUndefined();
  });
});

describe("TDG.VP.VMCALL", () => {
  it("hands over neither RAX, RCX nor RSP, and needs 63:32 of the mask to be zero", () => {
    for (const mask of [1n, 2n, 1n << 4n, 1n << 32n, 1n << 63n])
      expect(call(guest(), 0, { Rcx: mask }).status).toBe(INVALID | RCX);
    expect(call(guest(), 0, { Rcx: 1n << 5n }).outcome).toBe("exit");
    expect(call(guest({ configFlags: 4n }), 0, { Rcx: 1n << 5n }).status).toBe(INVALID | RCX);
    expect(call(guest(), 0, { Rcx: 0xffff_ffccn }).outcome).toBe("exit");
  });
});

describe("TDG.VP.VEINFO.GET and CPUIDVE.SET", () => {
  it("an exception's information is there once", () => {
    const td = guest();
    const nothing = { Rcx: 1n, Rdx: 1n, R8: 1n, R9: 1n, R10: 1n };
    expect(call(td, 3, nothing).status).toBe(0xc000_0704_0000_0000n);
    for (const gpr of [Gpr.Rcx, Gpr.Rdx, Gpr.R8, Gpr.R9, Gpr.R10]) expect(td.cpu.gpr.get(gpr)).toBe(0n);
    td.door.hlt();
    expect(call(td, 3).status).toBe(0n);
    expect(td.cpu.gpr.get(Gpr.Rcx)).toBe(12n);
    expect(call(td, 3).status).toBe(0xc000_0704_0000_0000n);
  });

  it("CPUIDVE.SET has two bits", () => {
    const td = guest();
    expect(call(td, 5, { Rcx: 3n }).status).toBe(0n);
    expect([td.vcpu.cpuidSupervisorVe, td.vcpu.cpuidUserVe]).toEqual([true, true]);
    expect(call(td, 5, { Rcx: 2n }).status).toBe(0n);
    expect([td.vcpu.cpuidSupervisorVe, td.vcpu.cpuidUserVe]).toEqual([false, true]);
    expect(call(td, 5, { Rcx: 4n }).status).toBe(INVALID | RCX);
  });
});

describe("TDG.VP.INFO", () => {
  it("gives numbers of vCPUs and its own", () => {
    const td = guest({ gpaw: true });
    td.vcpu.index = 2;
    call(td, 1, { R11: 9n });
    const [rcx, r8, r9, r10, r11] = [Gpr.Rcx, Gpr.R8, Gpr.R9, Gpr.R10, Gpr.R11].map((gpr) => td.cpu.gpr.get(gpr));
    expect([rcx, r8, r9, r10, r11]).toEqual([52n, 1n | (4n << 32n), 2n, 1n, 0n]);
  });
});

describe("TDG.VM, VP and SYS.RD and WR", () => {
  const XFAM = 0x1110000300000001n;

  it("only this VM and this vCPU", () => {
    const td = guest();
    for (const leaf of [7, 8, 9, 10]) {
      expect(call(td, leaf, { Rcx: 1n, Rdx: XFAM, R8: 5n }).status).toBe(INVALID | RCX);
      expect(td.cpu.gpr.get(Gpr.R8)).toBe(0n);
    }
  });

  it("VM.RD: version 1 gives the next field, version 0 leaves RDX alone", () => {
    const td = guest();
    call(td, 7, { Rcx: 0n, Rdx: XFAM });
    expect([td.cpu.gpr.get(Gpr.Rdx), td.cpu.gpr.get(Gpr.R8)]).toEqual([XFAM, 0x203n]);
    call(td, 7, { Rcx: 0n, Rdx: XFAM }, 1);
    expect([td.cpu.gpr.get(Gpr.Rdx), td.cpu.gpr.get(Gpr.R8)]).toEqual([0x1110000200000002n, 0x203n]);
    expect(call(td, 7, { Rcx: 0n, Rdx: NO_FIELD }, 1).status).toBe(0x0000_0c0b_0000_0000n);
    expect(td.cpu.gpr.get(Gpr.Rdx)).toBe(0x8010000300000020n);
    expect(call(td, 7, { Rcx: 0n, Rdx: NO_FIELD }).status).toBe(0xc000_0c00_0000_0000n);
  });

  it("a field that is not there, or not the guest's", () => {
    const td = guest();
    expect(call(td, 7, { Rcx: 0n, Rdx: 0x1110000300ff0000n }, 1).status).toBe(0xc000_0c00_0000_0000n);
    expect(td.cpu.gpr.get(Gpr.Rdx)).toBe(NO_FIELD);
    expect(call(td, 7, { Rcx: 0n, Rdx: 0x8110000100000001n }).status).toBe(0xc000_0c02_0000_0000n);
    expect(call(td, 8, { Rcx: 0n, Rdx: XFAM, R8: 0n, R9: NO_FIELD }).status).toBe(0xc000_0c01_0000_0000n);
  });

  it("VP.RD and WR: the guest's own controls, and not its host's", () => {
    const td = guest();
    expect(call(td, 10, { Rcx: 0n, Rdx: 0xa020000000000008n, R8: 1n, R9: 0xffn }).status).toBe(0n);
    expect(td.vcpu.cpuidUserVe).toBe(true);
    call(td, 9, { Rcx: 0n, Rdx: 0x8000000000000008n | (0x20n << 56n) });
    expect(td.cpu.gpr.get(Gpr.R8)).toBe(1n);
    expect(call(td, 9, { Rcx: 0n, Rdx: 0x002400030000203cn }).status).toBe(0xc000_0c02_0000_0000n);
    expect(call(td, 10, { Rcx: 0n, Rdx: 0x202000000000000bn, R8: 1n, R9: 1n }).status).toBe(0xc000_0c01_0000_0000n);
  });

  it("SYS.RD walks over what the guest may see; RDALL writes the same to a page", () => {
    const td = guest();
    expect(call(td, 11, { Rdx: NO_FIELD }).status).toBe(0x0000_0c0b_0000_0000n);
    let elements = 0;
    while (td.cpu.gpr.get(Gpr.Rdx) !== NO_FIELD && elements++ < 500) expect(call(td, 11).status).toBe(0n);
    td.map(0x5000, 0x7000);
    expect(call(td, 12, { Rdx: 0x5000n, R8: NO_FIELD }).status).toBe(0n);
    const view = new DataView(td.page(0x7000).buffer);
    expect((view.getUint16(0, true) - 8) / 8 - view.getUint16(2, true)).toBe(elements);
    expect(call(td, 12, { Rdx: 0x5008n, R8: NO_FIELD }).status).toBe(INVALID | RDX);
    expect(call(td, 12, { Rdx: BigInt(2 ** 47 + 0x5000), R8: NO_FIELD }).status).toBe(INVALID | RDX);
    expect(call(td, 12, { Rdx: 0x6000n, R8: NO_FIELD }).outcome).toBe("exit");
  });
});

describe("TDG.MEM.PAGE.ACCEPT", () => {
  const accept = (td: ReturnType<typeof guest>, rcx: bigint) => call(td, 6, { Rcx: rcx });

  it("takes private addresses, aligned, of 4 KiB and 2 MiB", () => {
    const td = guest();
    for (const rcx of [0x1002n, 0x1001n, 0x1008n, 1n << 52n, 1n << 47n, 1n << 48n, 1n << 63n])
      expect(accept(td, rcx).status).toBe(INVALID | RCX);
    expect(accept(guest({ gpaw: true }), 1n << 48n).outcome).toBe("exit");
  });

  it("a page of 2 MiB is zeroed as a whole", () => {
    const td = guest();
    for (let at = 0; at < 0x20_0000; at += 4096) td.page(0x80_0000 + at);
    td.map(0x40_0000, 0x80_0000, SeptState.Pending, 1);
    expect(accept(td, 0x40_0001n).status).toBe(0n);
    expect(td.page(0x80_0000 + 511 * 4096).every((byte) => byte === 0)).toBe(true);
    expect(accept(td, 0x40_0001n).status).toBe(0x0000_0b0a_0000_0001n);
    expect(accept(td, 0x40_3000n).status).toBe(0x0000_0b0a_0000_0001n);
  });

  it("an accepted page stays as it is", () => {
    const td = guest();
    td.map(0x5000, 0x7000, SeptState.Pending);
    expect(accept(td, 0x5000n).status).toBe(0n);
    td.page(0x7000)[5] = 1;
    expect(accept(td, 0x5000n).status).toBe(0x0000_0b0a_0000_0000n);
    expect(td.page(0x7000)[5]).toBe(1);
  });

  it("what the host has to do first is an EPT violation that says what was met", () => {
    const td = guest();
    const exits = (rcx: bigint) => {
      expect(accept(td, rcx).outcome).toBe("exit");
      const taken = td.door.takeExit();
      expect(taken?.completed).toBe(false);
      return taken?.exit.reason === "ept-violation" ? taken.exit.violation.extended : undefined;
    };
    expect(exits(0x5000n)).toEqual({
      type: "accept",
      requestedLevel: 0,
      entryLevel: 3,
      entryState: 0,
      entryIsLeaf: false,
    });
    td.map(0x5000, 0x7000, SeptState.PendingBlocked);
    expect(exits(0x5000n)).toMatchObject({ entryLevel: 0, entryState: 3, entryIsLeaf: true });
    td.map(0x40_0000, 0x80_0000, SeptState.Pending, 1);
    expect(exits(0x40_1000n)).toMatchObject({ requestedLevel: 0, entryLevel: 1, entryState: 2, entryIsLeaf: true });
    td.map(0x60_0000, 0xa0_0000, SeptState.Blocked, 1);
    expect(exits(0x60_0001n)).toMatchObject({ entryState: 1 });
  });

  it("an entry that the host holds is busy", () => {
    const td = guest();
    td.map(0x5000, 0x7000, SeptState.Pending);
    const entry = td.td.sept?.find(0x5000, 0);
    entry?.acquire("exclusive");
    expect(accept(td, 0x5000n).status).toBe(BUSY | RCX);
    entry?.release("exclusive");
    expect(accept(td, 0x5000n).status).toBe(0n);
  });
});

describe("TDG.MR.RTMR.EXTEND", () => {
  it("extends one register with 48 bytes of private memory", () => {
    const td = guest();
    td.map(0x5000, 0x7000);
    const digest = sha384(new Uint8Array([1]));
    td.page(0x7000).set(digest, 0x40);
    expect(call(td, 2, { Rcx: 0x5040n, Rdx: 2n }).status).toBe(0n);
    expect(td.td.rtmrs[2]).toEqual(sha384.create().update(new Uint8Array(48)).update(digest).digest());
    expect(td.td.rtmrs[3]).toEqual(new Uint8Array(48));
  });

  it("wants an aligned private address first, then a register, then nobody in between", () => {
    const td = guest();
    td.map(0x5000, 0x7000);
    expect(call(td, 2, { Rcx: 0x5020n, Rdx: 9n }).status).toBe(INVALID | RCX);
    expect(call(td, 2, { Rcx: BigInt(2 ** 47), Rdx: 0n }).status).toBe(INVALID | RCX);
    expect(call(td, 2, { Rcx: 0x6000n, Rdx: 9n }).outcome).toBe("exit");
    expect(call(td, 2, { Rcx: 0x5000n, Rdx: 4n }).status).toBe(INVALID | RDX);
    td.td.rtmrLock.acquire("shared");
    expect(call(td, 2, { Rcx: 0x5000n, Rdx: 0n }).status).toBe(BUSY | 168n);
    td.td.rtmrLock.release("shared");
    expect(call(td, 2, { Rcx: 0x5000n, Rdx: 0n }).status).toBe(0n);
  });
});

describe("TDG.MR.REPORT and VERIFYREPORT", () => {
  it("writes a report of the TD that the platform verifies", () => {
    const td = guest();
    td.map(0x5000, 0x7000);
    td.td.mrtd.fill(0xab);
    td.page(0x7000).fill(0x5a, 0x400, 0x440);
    expect(call(td, 4, { Rcx: 0x5000n, Rdx: 0x5400n, R8: 0n }).status).toBe(0n);
    const report = parseTdReport(td.page(0x7000).slice(0, 1024));
    expect(report.mac.reportData).toEqual(new Uint8Array(64).fill(0x5a));
    expect(report.td.mrTd).toEqual(new Uint8Array(48).fill(0xab));
    expect([report.td.attributes, report.td.xfam]).toEqual([0x1000_0000n, 0x203n]);
    expect(call(td, 22, { Rcx: 0x5000n }).status).toBe(0n);
    const mac = td.page(0x7000);
    mac[200] = (mac[200] ?? 0) ^ 1;
    expect(call(td, 22, { Rcx: 0x5000n }).status).toBe(0xc000_1001_0000_0000n);
  });

  it("may be written to shared memory; whose operands are wrong is said in order", () => {
    const td = guest();
    td.map(0x5000, 0x7000);
    const page = new Uint8Array(4096);
    td.shared.set(0x9000, { bytes: page });
    expect(call(td, 4, { Rcx: BigInt(2 ** 47 + 0x9400), Rdx: 0x5400n, R8: 0n }).status).toBe(0n);
    expect(page[0x400]).toBe(0x81);
    expect(call(td, 4, { Rcx: 0x5200n, Rdx: 0x5401n, R8: 1n }).status).toBe(INVALID | RCX);
    expect(call(td, 4, { Rcx: 0x5000n, Rdx: 0x5401n, R8: 1n }).status).toBe(INVALID | RDX);
    expect(call(td, 4, { Rcx: 0x5000n, Rdx: 0x5400n, R8: 1n }).status).toBe(INVALID | R8);
    expect(call(td, 4, { Rcx: BigInt(2 ** 48), Rdx: 0x5400n, R8: 0n }).status).toBe(INVALID | RCX);
    expect(call(td, 22, { Rcx: 0x5080n }).status).toBe(INVALID | RCX);
    expect(call(td, 22, { Rcx: BigInt(2 ** 47 + 0x9400) }).status).toBe(INVALID | RCX);
  });

  it("memory that is not there is asked for, and the call is made again", () => {
    const td = guest();
    expect(call(td, 4, { Rcx: 0x5000n, Rdx: 0x5400n, R8: 0n }).outcome).toBe("exit");
    expect(td.door.takeExit()).toEqual({
      completed: false,
      exit: { reason: "ept-violation", violation: { gpa: 0x5400, access: "read" } },
    });
    expect(td.td.rtmrLock.isFree).toBe(true);
  });
});

describe("leaves for L2 virtual machines, of which a TD has none", () => {
  it("MEM.PAGE.ATTR.RD tells level and state of a page; WR sets nothing", () => {
    const td = guest();
    td.map(0x40_0000, 0x80_0000, SeptState.Mapped, 1);
    td.map(0x5000, 0x7000, SeptState.Pending);
    expect(call(td, 23, { Rcx: 0x41_2345n, Rdx: 7n }).status).toBe(0n);
    expect([td.cpu.gpr.get(Gpr.Rcx), td.cpu.gpr.get(Gpr.Rdx)]).toEqual([0x40_0001n, 0n]);
    expect(call(td, 23, { Rcx: 0x5000n }).status).toBe(0n);
    expect(td.cpu.gpr.get(Gpr.Rcx)).toBe(0x5000n | (1n << 62n));
    expect(call(td, 23, { Rcx: 0x9000n }).outcome).toBe("exit");
    expect(call(td, 23, { Rcx: 1n << 50n }).status).toBe(INVALID | RCX);
    expect(call(td, 24, { Rcx: 0x40_0001n, Rdx: 0n, R8: 0n }).status).toBe(0n);
    expect(call(td, 24, { Rcx: 0x40_0001n, Rdx: 1n, R8: 0n }).status).toBe(INVALID | RDX);
    expect(call(td, 24, { Rcx: 0x40_0001n, Rdx: 0n, R8: 1n }).status).toBe(INVALID | R8);
    expect(call(td, 24, { Rcx: 0x1n, Rdx: 0n, R8: 0n }).status).toBe(0xc000_0b0b_0000_0001n);
    expect(call(td, 24, { Rcx: 0x40_1000n, Rdx: 0n, R8: 0n }).outcome).toBe("exit");
    expect(td.door.takeExit()?.exit).toMatchObject({ violation: { extended: { type: "attr-wr", entryLevel: 1 } } });
    expect(call(td, 24, { Rcx: 0x40_1001n, Rdx: 0n, R8: 0n }).status).toBe(INVALID | RCX);
  });

  it("VP.ENTER, INVEPT and INVVPID name no VM", () => {
    const td = guest();
    expect(call(td, 25, { Rcx: 1n << 52n, Rdx: 0x5001n }).status).toBe(INVALID | RDX);
    expect(call(td, 25, { Rcx: 1n << 52n, Rdx: 0x5000n }).status).toBe(INVALID | RCX);
    expect(call(td, 26, { Rcx: 2n }).status).toBe(INVALID | RCX);
    expect(call(td, 26, { Rcx: 0n }).status).toBe(0n);
    expect(call(td, 27, { Rcx: 1n << 52n }).status).toBe(INVALID | RCX);
  });

  it("a secure EPT without a page table is no error", () => {
    const td = guest();
    expect(td.td.sept?.root).toBeInstanceOf(SeptTable);
    td.td.sept = undefined;
    expect(call(td, 6, { Rcx: 0x1000n }).status).toBe(INVALID | RCX);
    expect(call(td, 23, { Rcx: 0x1000n }).status).toBe(INVALID | RCX);
  });
});

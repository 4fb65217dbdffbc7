// What Linux 6.12 does as a guest of TDX, in the order of arch/x86/coco/tdx/tdx.c and the code around it.
import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { SeptState } from "../../src/module/sept-state.js";
import { copyTdVmCallInputs, writeExitOutputs } from "../../src/module/td-exit.js";
import { call, guest } from "./fixture.js";

const VP_VMCALL = 0;
const VP_INFO = 1;
const VEINFO_GET = 3;
const PAGE_ACCEPT = 6;
const VM_RD = 7;
const VM_WR = 8;
const CONFIG_FLAGS = 0x1110000300000016n;
const TD_CTLS = 0x1110000300000017n;
const NOTIFY_ENABLES = 0x9100000000000010n;
/** TDVMCALL_EXPOSE_REGS_MASK: RDX, RBX, RSI, RDI, R8 to R15. */
const EXPOSE = 0xffccn;

type Guest = ReturnType<typeof guest>;

/** TDCALL 3 as the kernel's #VE handler begins. */
function veInfo(td: Guest) {
  const { status } = call(td, VEINFO_GET);
  const [reason, qualification, gla, gpa, length] = [Gpr.Rcx, Gpr.Rdx, Gpr.R8, Gpr.R9, Gpr.R10].map((r) =>
    td.cpu.gpr.get(r),
  );
  return { status, reason, qualification, gla, gpa, length };
}

/** A TDVMCALL to its end: what the host sees, then the host's answer in R10 and R11. */
function hypercall(td: Guest, regs: Partial<Record<keyof typeof Gpr, bigint>>, answer: readonly [bigint, bigint]) {
  expect(call(td, VP_VMCALL, { R10: 0n, ...regs, Rcx: EXPOSE }).outcome).toBe("exit");
  const exit = td.door.takeExit();
  expect(exit).toEqual({ exit: { reason: "tdcall" }, completed: true });
  const host = new BigUint64Array(16);
  const xmm = new Uint8Array(256);
  writeExitOutputs(td.vcpu, td.cpu, exit?.exit ?? { reason: "nmi" }, host, xmm);
  const seen = host.slice();
  [host[Gpr.R10], host[Gpr.R11]] = answer;
  copyTdVmCallInputs(td.cpu, host, xmm);
  return seen;
}

describe("Linux 6.12 as a TD", () => {
  it("finds the TD by CPUID 0x21, EBX EDX ECX", () => {
    const td = guest();
    expect(td.door.cpuid(0, 0)).toBe("done");
    expect(Number(td.cpu.gpr.get(Gpr.Rax))).toBeGreaterThanOrEqual(0x21);
    expect(td.door.cpuid(0x21, 0)).toBe("done");
    const text = [Gpr.Rbx, Gpr.Rdx, Gpr.Rcx]
      .flatMap((gpr) => [0n, 8n, 16n, 24n].map((shift) => Number((td.cpu.gpr.get(gpr) >> shift) & 0xffn)))
      .map((code) => String.fromCharCode(code))
      .join("");
    expect(text).toBe("IntelTDX    ");
    expect(td.cpu.gpr.get(Gpr.Rax)).toBe(0n);
  });

  it("leaves EFER alone, as SCE and NX are set; may set SCE, not more", () => {
    const td = guest();
    expect(td.door.rdmsr(0xc000_0080)).toBe("native");
    expect(td.door.wrmsr(0xc000_0080, 0xd01n)).toBe("native");
    expect(td.door.wrmsr(0xc000_0080, 0xd00n)).toBe("native");
    expect(td.door.wrmsr(0xc000_0080, 0x501n)).toBe("exception");
    expect(veInfo(td)).toMatchObject({ status: 0n, reason: 32n });
  });

  it("tdx_setup: TDG.VP.INFO gives the width of addresses and the attributes", () => {
    const td = guest();
    expect(call(td, VP_INFO)).toEqual({ outcome: "done", status: 0n });
    expect(td.cpu.gpr.get(Gpr.Rcx) & 0x3fn).toBe(48n);
    expect(td.cpu.gpr.get(Gpr.Rdx)).toBe(0x1000_0000n);
  });

  it("tdx_setup: writes NOTIFY_ENABLES 0 by an id without context, with all ones for a mask", () => {
    const td = guest();
    expect(call(td, VM_WR, { Rcx: 0n, Rdx: NOTIFY_ENABLES, R8: 0n, R9: (1n << 64n) - 1n }).status).toBe(0n);
  });

  it("disable_sept_ve: without FLEXIBLE_PENDING_VE the attribute is enough", () => {
    const td = guest();
    expect(call(td, VM_RD, { Rcx: 0n, Rdx: CONFIG_FLAGS }).status).toBe(0n);
    expect(td.cpu.gpr.get(Gpr.R8) & 2n).toBe(0n);
  });

  it("disable_sept_ve: with FLEXIBLE_PENDING_VE it sets TD_CTLS bit 0", () => {
    const td = guest({ attributes: 0n, configFlags: 2n, tdCtls: 0n });
    call(td, VM_RD, { Rcx: 0n, Rdx: CONFIG_FLAGS });
    expect(td.cpu.gpr.get(Gpr.R8)).toBe(2n);
    call(td, VM_RD, { Rcx: 0n, Rdx: TD_CTLS });
    expect(td.cpu.gpr.get(Gpr.R8)).toBe(0n);
    expect(call(td, VM_WR, { Rcx: 0n, Rdx: TD_CTLS, R8: 1n, R9: 1n }).status).toBe(0n);
    expect(td.td.tdCtls).toBe(1n);
  });

  it("reduce_unnecessary_ve (6.13 on): REDUCE_VE is refused, ENUM_TOPOLOGY is taken where every vCPU has an id", () => {
    const td = guest();
    td.td.topologyEnumConfigured = true;
    const set = (bit: bigint) => call(td, VM_WR, { Rcx: 0n, Rdx: TD_CTLS, R8: bit, R9: bit }).status;
    expect(set(8n)).toBe(0xc000_0c01_0000_0000n);
    expect(call(td, VM_RD, { Rcx: 0n, Rdx: 0x9100000000000019n }).status).toBe(0n);
    expect(td.cpu.gpr.get(Gpr.R8)).toBe(1n);
    expect(set(2n)).toBe(0n);
    expect(td.door.cpuid(0xb, 0)).toBe("done");
  });

  it("keeps CR4.MCE, and so never sees #VE for CR4", () => {
    const td = guest();
    expect(td.door.controlRegister(4, 0x60n)).toBe("native");
    expect(td.door.controlRegister(4, 0x20n)).toBe("exception");
    expect(td.cpu.injected).toEqual([[20, null]]);
  });

  it("early #VE: port I/O goes out as TDVMCALL Instruction.IO", () => {
    const td = guest();
    td.cpu.instructionLength = 1;
    expect(td.door.io({ port: 0x3f8, size: 1, isIn: false })).toBe("exception");
    expect(td.cpu.injected).toEqual([[20, null]]);
    const ve = veInfo(td);
    expect(ve).toMatchObject({ status: 0n, reason: 30n, qualification: 0x3f8_0000n, length: 1n });
    const host = hypercall(td, { R11: 30n, R12: 1n, R13: 1n, R14: 0x3f8n, R15: 0x41n }, [0n, 0n]);
    expect([...host.slice(Gpr.R10)]).toEqual([0n, 30n, 1n, 1n, 0x3f8n, 0x41n]);
    expect(td.cpu.gpr.get(Gpr.Rax)).toBe(0n);
    expect(td.cpu.gpr.get(Gpr.R10)).toBe(0n);
  });

  it("HLT, RDMSR, WRMSR, CPUID of a hypervisor: #VE with reason and length", () => {
    const td = guest();
    td.door.hlt();
    expect(veInfo(td)).toMatchObject({ reason: 12n, length: 2n });
    td.door.rdmsr(0x1b);
    expect(veInfo(td)).toMatchObject({ reason: 31n });
    td.door.wrmsr(0x830, 0n);
    expect(veInfo(td)).toMatchObject({ reason: 32n });
    td.door.cpuid(0x4000_0000, 0);
    expect(veInfo(td)).toMatchObject({ reason: 10n });
    expect(td.cpu.injected).toHaveLength(4);
  });

  it("x2APIC: EOI, TPR and self IPI are native, ICR and the timer are #VE", () => {
    const td = guest();
    for (const index of [0x808, 0x80b, 0x83f]) expect(td.door.wrmsr(index, 0n)).toBe("native");
    for (const index of [0x830, 0x838, 0x80f]) {
      expect(td.door.wrmsr(index, 0n)).toBe("exception");
      expect(veInfo(td).reason).toBe(32n);
    }
  });

  it("MMIO: #VE with the address as the guest used it, shared bit included", () => {
    const td = guest();
    const gpa = 2 ** 47 + 0xfec0_0010;
    expect(td.door.sharedViolation(gpa, 0xffff_c900_0000_0010n, "write", false)).toBe("exception");
    expect(veInfo(td)).toMatchObject({
      reason: 48n,
      gpa: BigInt(gpa),
      gla: 0xffff_c900_0000_0010n,
      qualification: 0x182n,
    });
  });

  it("shared memory that the host has not mapped: the guest is left", () => {
    const td = guest();
    expect(td.door.sharedViolation(2 ** 47 + 0x5123, 0n, "read", true)).toBe("exit");
    expect(td.door.takeExit()).toMatchObject({ completed: false, exit: { violation: { gpa: 2 ** 47 + 0x5123 } } });
  });

  it("set_memory_encrypted: tries 1 GiB, 2 MiB and 4 KiB, and gets zeroed memory", () => {
    const td = guest();
    td.map(0x20_0000, 0x60_0000, SeptState.Pending);
    expect(call(td, PAGE_ACCEPT, { Rcx: 2n }).status).toBe(0xc000_0100_0000_0001n);
    expect(call(td, PAGE_ACCEPT, { Rcx: 0x20_0001n }).status).toBe(0xc000_0b0b_0000_0001n);
    expect(call(td, PAGE_ACCEPT, { Rcx: 0x20_0000n }).status).toBe(0n);
    expect(td.page(0x60_0000).every((byte) => byte === 0)).toBe(true);
    expect(td.td.sept?.walk(0x200, 2)).toBe(0x600);
  });

  it("idle: TDVMCALL Instruction.HLT", () => {
    const td = guest();
    const host = hypercall(td, { R11: 12n, R12: 0n }, [0n, 0n]);
    expect(host[Gpr.Rax]).toBe(77n);
    expect(host[Gpr.Rcx]).toBe(EXPOSE);
  });

  it("panic: ReportFatalError hands over the message in eight registers", () => {
    const td = guest();
    const message = { R14: 1n, R15: 2n, Rbx: 3n, Rdi: 4n, Rsi: 5n, R8: 6n, R9: 7n, Rdx: 8n };
    const host = hypercall(td, { R11: 0x10003n, R12: 0n, ...message }, [0n, 0n]);
    for (const [name, value] of Object.entries(message)) expect(host[Gpr[name as keyof typeof Gpr]]).toBe(value);
  });
});

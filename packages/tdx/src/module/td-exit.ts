import { Gpr, type Gprs, XMM_BYTES } from "./gpr.js";
import type { EptViolation, ExtendedQualification, GuestCpu, VmExit } from "./guest-cpu.js";
import { Status } from "./status.js";
import { ConfigFlag, type Td } from "./td.js";
import { LastExit, type TdVcpu, VcpuState } from "./td-vcpu.js";

/** Basic VMX exit reasons that the TDX module itself writes. */
const ExitReason = { Nmi: 0, ExternalInterrupt: 1, TripleFault: 2, EptViolation: 48, Tdcall: 77 } as const;
/** RAX after a TDVMCALL. */
const TDCALL = Status.SUCCESS | BigInt(ExitReason.Tdcall);
/** Interruption information of an NMI: valid, type 2, vector 2. */
const NMI_INFO = 0x8000_0202;
const REGISTERS = 16;
const XMM_REGISTER = XMM_BYTES / REGISTERS;
/** Masks with any XMM register are at least this. */
const FIRST_XMM = 2 ** REGISTERS;
/** Extended exit qualification types. */
const EEQ_ACCEPT = 1n;
const EEQ_ATTR_WR = 5n;
const EEQ_PENDING = 6n;

/** The registers that a TDVMCALL hands over, as its mask in the guest's RCX says: bits 15:0 general-purpose, 31:16 XMM. */
const maskOf = (cpu: GuestCpu): number => Number(BigInt.asUintN(32, cpu.gpr.get(Gpr.Rcx)));
const has = (mask: number, bit: number): boolean => ((mask >>> bit) & 1) === 1;

/** Copies XMM registers of a mask; hardly any TDVMCALL has one. */
function copyXmm(mask: number, from: Uint8Array, to: Uint8Array): void {
  for (let i = 0, at = 0; i < REGISTERS; i++, at += XMM_REGISTER)
    if (has(mask, REGISTERS + i)) to.set(from.subarray(at, at + XMM_REGISTER), at);
}

/**
 * Gives a vCPU that left by TDG.VP.VMCALL the host's answer: what its mask (still in RCX) selects is copied, RAX is zero for success. Call before it runs.
 * @param xmm the host's XMM registers, 256 bytes
 */
export function copyTdVmCallInputs(cpu: GuestCpu, regs: Gprs, xmm: Uint8Array): void {
  const mask = maskOf(cpu);
  for (let i = Gpr.Rdx; i < REGISTERS; i++) if (has(mask, i)) cpu.gpr.set(i, regs[i] ?? 0n);
  cpu.gpr.set(Gpr.Rax, Status.SUCCESS);
  if (mask < FIRST_XMM) return;
  const guest = new Uint8Array(XMM_BYTES);
  cpu.xmm.get(guest);
  copyXmm(mask, xmm, guest);
  cpu.xmm.set(guest);
}

/** The host's registers after an exit hold nothing but the exit's outputs: all but RSP, which is the host's, and RBP where the TD says so. */
function clear(td: Td, regs: Gprs, xmm: Uint8Array): void {
  const keepRbp = (td.configFlags & ConfigFlag.NO_RBP_MOD) !== 0n;
  const rsp = regs[Gpr.Rsp] as bigint;
  const rbp = keepRbp ? (regs[Gpr.Rbp] as bigint) : 0n;
  regs.fill(0n);
  regs[Gpr.Rsp] = rsp;
  regs[Gpr.Rbp] = rbp;
  xmm.fill(0);
}

function tdVmCallOutputs(cpu: GuestCpu, regs: Gprs, xmm: Uint8Array): void {
  const mask = maskOf(cpu);
  for (let i = Gpr.Rdx; i < REGISTERS; i++) if (has(mask, i)) regs[i] = cpu.gpr.get(i);
  regs[Gpr.Rax] = TDCALL;
  regs[Gpr.Rcx] = BigInt(mask);
  if (mask < FIRST_XMM) return;
  const guest = new Uint8Array(XMM_BYTES);
  cpu.xmm.get(guest);
  copyXmm(mask, guest, xmm);
}

/** Extended exit qualification: the type in bits 3:0, details in 63:32. */
function extendedQualification(extended: ExtendedQualification | undefined): bigint {
  if (extended === undefined) return 0n;
  if (extended.type === "pending-ept-violation") return EEQ_PENDING;
  const { type, requestedLevel, entryLevel, entryState, entryIsLeaf } = extended;
  const info = requestedLevel | (entryLevel << 3) | (entryState << 6) | ((entryIsLeaf ? 1 : 0) << 14);
  return (type === "accept" ? EEQ_ACCEPT : EEQ_ATTR_WR) | (BigInt(info) << 32n);
}

/** Bit 0 read, 1 write, 2 fetch. What says more of the guest, such as its linear address, stays in the TD. */
const ACCESS = { read: 1n, write: 2n, fetch: 4n } as const;

function violationOutputs({ gpa, access, extended }: EptViolation, regs: Gprs): void {
  regs[Gpr.Rax] = Status.SUCCESS | BigInt(ExitReason.EptViolation);
  regs[Gpr.Rcx] = ACCESS[access];
  regs[Gpr.Rdx] = extendedQualification(extended);
  regs[Gpr.R8] = BigInt(gpa) & ~0xfffn;
}

/**
 * Writes the outputs of TDH.VP.ENTER for an exit, and what it makes of the vCPU: {@link TdVcpu.lastExit}, and {@link VcpuState.Disabled} after a triple fault.
 * The host's other registers are zero then. Source: Intel TDX module 1.5 ABI specification, TDH.VP.ENTER, "Output Operands".
 * @param xmm the host's XMM registers, 256 bytes
 */
export function writeExitOutputs(vcpu: TdVcpu, cpu: GuestCpu, exit: VmExit, regs: Gprs, xmm: Uint8Array): void {
  clear(vcpu.td, regs, xmm);
  vcpu.lastExit = LastExit.AsyncFault;
  switch (exit.reason) {
    case "tdcall":
      vcpu.lastExit = LastExit.TdVmCall;
      tdVmCallOutputs(cpu, regs, xmm);
      return;
    case "external-interrupt":
      regs[Gpr.Rax] = Status.SUCCESS | BigInt(ExitReason.ExternalInterrupt);
      return;
    case "nmi":
      regs[Gpr.Rax] = Status.SUCCESS | BigInt(ExitReason.Nmi);
      regs[Gpr.R9] = BigInt(NMI_INFO);
      return;
    case "triple-fault":
      vcpu.state = VcpuState.Disabled;
      regs[Gpr.Rax] = Status.NON_RECOVERABLE_VCPU | BigInt(ExitReason.TripleFault);
      return;
    case "ept-violation":
      violationOutputs(exit.violation, regs);
      return;
    case "host-priority-busy-timeout":
      vcpu.lastExit = LastExit.AsyncTrap;
      regs[Gpr.Rax] = Status.HOST_PRIORITY_BUSY_TIMEOUT;
      return;
    case "other":
      if (exit.trap === true) vcpu.lastExit = LastExit.AsyncTrap;
      regs[Gpr.Rax] = Status.SUCCESS | BigInt(exit.exitReason);
      regs[Gpr.Rcx] = exit.qualification ?? 0n;
      regs[Gpr.R9] = BigInt(exit.interruptionInfo ?? 0);
      return;
  }
}

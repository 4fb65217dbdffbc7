import { Gpr } from "../../module/gpr.js";
import { OperandId, Status, withOperand } from "../../module/status.js";
import { ConfigFlag } from "../../module/td.js";
import type { GuestContext } from "../context.js";
import type { Outcome } from "../outcome.js";
import type { TdcallLeaf } from "./leaf.js";

const bit = (n: number) => 1n << BigInt(n);
/** What TDG.VP.VMCALL never hands over: RAX, RCX and RSP; bits 63:32 of the mask are reserved. */
const NEVER = bit(Gpr.Rax) | bit(Gpr.Rcx) | bit(Gpr.Rsp) | (0xffff_ffffn << 32n);
const NEVER_WITH_RBP = NEVER | bit(Gpr.Rbp);
/** TDG.VP.INFO R10: TDG.SYS.RD is there. */
const SYS_RD = 1n;
const SUPERVISOR = 1n;
const USER = 2n;

function vmcall(context: GuestContext): bigint | Outcome {
  const mask = context.cpu.gpr.get(Gpr.Rcx);
  const keepsRbp = (context.td.configFlags & ConfigFlag.NO_RBP_MOD) !== 0n;
  if ((mask & (keepsRbp ? NEVER_WITH_RBP : NEVER)) !== 0n) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  return context.leave({ reason: "tdcall" }, true);
}

function info({ td, vcpu, cpu }: GuestContext): bigint {
  cpu.gpr.set(Gpr.Rcx, BigInt(td.gpaBits));
  cpu.gpr.set(Gpr.Rdx, td.attributes);
  cpu.gpr.set(Gpr.R8, BigInt(td.numVcpus) | (BigInt(td.maxVcpus) << 32n));
  cpu.gpr.set(Gpr.R9, BigInt(vcpu.index));
  cpu.gpr.set(Gpr.R10, SYS_RD);
  cpu.gpr.set(Gpr.R11, 0n);
  return Status.SUCCESS;
}

function veInfoGet({ vcpu, cpu }: GuestContext): bigint {
  const { veInfo } = vcpu;
  const { valid } = veInfo;
  const lengthAndInfo = BigInt(veInfo.instructionLength) | (BigInt(veInfo.instructionInfo) << 32n);
  cpu.gpr.set(Gpr.Rcx, valid ? BigInt(veInfo.exitReason) : 0n);
  cpu.gpr.set(Gpr.Rdx, valid ? veInfo.qualification : 0n);
  cpu.gpr.set(Gpr.R8, valid ? veInfo.gla : 0n);
  cpu.gpr.set(Gpr.R9, valid ? BigInt(veInfo.gpa) : 0n);
  cpu.gpr.set(Gpr.R10, valid ? lengthAndInfo : 0n);
  veInfo.valid = false;
  return valid ? Status.SUCCESS : Status.NO_VALID_VE_INFO;
}

function cpuidVeSet({ vcpu, cpu }: GuestContext): bigint {
  const control = cpu.gpr.get(Gpr.Rcx);
  if ((control & ~(SUPERVISOR | USER)) !== 0n) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  vcpu.cpuidSupervisorVe = (control & SUPERVISOR) !== 0n;
  vcpu.cpuidUserVe = (control & USER) !== 0n;
  return Status.SUCCESS;
}

/** Leaves of the vCPU itself. */
export const VCPU_LEAVES: readonly TdcallLeaf[] = [
  { number: 0, run: vmcall },
  { number: 1, run: info },
  { number: 3, run: veInfoGet },
  { number: 5, run: cpuidVeSet },
];

import { associate } from "../associate.js";
import { Gpr } from "../gpr.js";
import type { GuestCpu, VmExit } from "../guest-cpu.js";
import type { SeamcallLeaf } from "../leaf.js";
import type { Seamcall } from "../seamcall.js";
import { OperandId, Status, withOperand } from "../status.js";
import { expectedEptFault, forgetEptFaults, logEptFault } from "../stepping.js";
import { copyTdVmCallInputs, writeExitOutputs } from "../td-exit.js";
import { LastExit, NOT_ASSOCIATED, VcpuState } from "../td-vcpu.js";
import { RUNNABLE } from "./states.js";

/** RCX: the host says to the guest whether what it asked for can be had; RESUME_L1 is for L2 VMs. */
const HOST_RECOVERABILITY_HINT = 1n << 52n;
const RESUME_L1 = 1n << 53n;
/** The same hint in the status that a guest's TDCALL ends with. */
const GUEST_HINT = 1n << 60n;
/** The flags in the upper half of RCX. */
const HINT_HIGH = Number(HOST_RECOVERABILITY_HINT >> 32n);
const RESUME_HIGH = Number(RESUME_L1 >> 32n);

/** Everything that can be wrong before the vCPU is entered; SUCCESS if nothing is. */
function check({ td, vcpu, halves, lp, module }: Seamcall): bigint {
  const flags = halves[2 * Gpr.Rcx + 1] as number;
  const associated = associate(td, vcpu, lp, false);
  if (associated !== Status.SUCCESS) return associated;
  const hint = (flags & HINT_HIGH) !== 0;
  if ((hint && vcpu.lastExit !== LastExit.AsyncTrap) || (flags & RESUME_HIGH) !== 0)
    return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  return BigInt.asIntN(64, module.platform.tsc() - vcpu.lastExitTsc) >= 0n ? Status.SUCCESS : Status.TSC_ROLLBACK;
}

/** What the guest gets for having left: the host's answer to a TDVMCALL, or its hint. */
function answer(call: Seamcall, cpu: GuestCpu): void {
  const { vcpu, regs, xmm } = call;
  if (vcpu.lastExit === LastExit.TdVmCall) copyTdVmCallInputs(cpu, regs, xmm);
  else if (vcpu.lastExit === LastExit.AsyncTrap) {
    const hint = ((regs[Gpr.Rcx] as bigint) & HOST_RECOVERABILITY_HINT) === 0n ? 0n : GUEST_HINT;
    cpu.gpr.set(Gpr.Rax, (cpu.gpr.get(Gpr.Rax) & ~GUEST_HINT) | hint);
  }
}

/** Ends an entry with an exit. */
function leave(call: Seamcall, cpu: GuestCpu, exit: VmExit): bigint {
  const { vcpu, td, module, out, xmm } = call;
  vcpu.lastExitTsc = module.platform.tsc();
  vcpu.state = VcpuState.Ready;
  if (cpu.rip !== vcpu.entryRip) forgetEptFaults(vcpu);
  if (
    exit.reason === "ept-violation" &&
    (exit.violation.extended === undefined || exit.violation.extended.type === "pending-ept-violation") &&
    exit.violation.gpa < td.sharedBit
  )
    logEptFault(vcpu, exit.violation.gpa);
  writeExitOutputs(vcpu, cpu, exit, out, xmm);
  return out[Gpr.Rax] as bigint;
}

/** Before an entry at an instruction that has faulted too often: the exit that is made up, a status, or nothing. */
function stepping(call: Seamcall): VmExit | bigint | undefined {
  const { td, vcpu } = call;
  if (vcpu.epfGpas.length === 0) return undefined;
  const busy = call.take(td.septLock, "exclusive", OperandId.SeptTree);
  if (busy !== Status.SUCCESS) return busy;
  const gpa = expectedEptFault(td, vcpu);
  call.drop(td.septLock);
  return gpa === undefined ? undefined : { reason: "ept-violation", violation: { gpa, access: "read" } };
}

function enter(call: Seamcall): bigint {
  const { td, vcpu, module, lp } = call;
  const isNew = vcpu.associatedLp === NOT_ASSOCIATED;
  const checked = check(call);
  if (checked !== Status.SUCCESS) return checked;
  const { cpu } = vcpu;
  if (cpu === undefined) return Status.VCPU_STATE_INCORRECT;
  const busy = call.take(td.epoch.lock, "shared", OperandId.TdEpoch);
  if (busy !== Status.SUCCESS) return busy;
  const epoch = td.epoch.enter();
  call.drop(td.epoch.lock);
  const last = module.running[lp];
  try {
    if (epoch !== vcpu.epoch || isNew || module.lastVcpu[lp] !== vcpu) cpu.flushTlb();
    vcpu.epoch = epoch;
    vcpu.entryRip = cpu.rip;
    const made = stepping(call);
    if (typeof made === "bigint") return made;
    if (made !== undefined) return leave(call, cpu, made);
    call.drop(td.opStateLock);
    answer(call, cpu);
    vcpu.state = VcpuState.Active;
    module.running[lp] = vcpu;
    module.lastVcpu[lp] = vcpu;
    return leave(call, cpu, cpu.run());
  } finally {
    // Left by an error of the machine below, the guest is where it was.
    if (vcpu.state === VcpuState.Active) vcpu.state = VcpuState.Ready;
    module.running[lp] = last;
    td.epoch.leave(epoch);
  }
}

/** TDH.VP.ENTER. */
export const VP_ENTER_LEAVES: readonly SeamcallLeaf[] = [
  {
    number: 0,
    name: "TDH.VP.ENTER",
    vcpu: {
      operand: Gpr.Rcx,
      flags: HOST_RECOVERABILITY_HINT | RESUME_L1,
      lock: "shared",
      tdrLock: "shared",
      opState: "shared",
    },
    states: RUNNABLE,
    run: enter,
  },
];

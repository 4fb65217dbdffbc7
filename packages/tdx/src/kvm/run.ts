import type { Task } from "@vm/lockdep";
import { Gpr } from "../module/gpr.js";
import { STATUS_CODE, Status } from "../module/status.js";
import { KvmTdxError } from "./errors.js";
import { handleEptViolation } from "./handle-ept-violation.js";
import { handleTdvmcall } from "./handle-tdvmcall.js";
import type { KvmSept } from "./kvm-sept.js";
import type { Outside } from "./map-gpa.js";
import type { Eventually } from "./ports.js";
import { isOperandBusy } from "./seamcalls.js";
import { BUSY, HANDLED, type TdExit } from "./td-exit.js";
import { TdState, type TdVm } from "./td-vm.js";
import { loadVcpu } from "./vcpu-load.js";
import { VcpuTdState, type VcpuTdx } from "./vcpu-tdx.js";

/** Basic VMX exit reasons. */
enum Reason {
  ExceptionNmi = 0,
  ExternalInterrupt = 1,
  TripleFault = 2,
  OtherSmi = 6,
  EptViolation = 48,
  BusLock = 74,
  Notify = 75,
  Tdcall = 77,
}

const ERROR = 1n << 63n;
const NON_RECOVERABLE = 1n << 62n;
const BASIC_REASON = 0xffffn;
const FAILED_VMENTRY = 1n << 31n;
/** Interruption information: type and vector. */
const INTERRUPTION_TYPE = 0x700n;
const TYPE_NMI = 0x200n;
const VECTOR = 0xffn;
const MACHINE_CHECK = 18;

/**
 * KVM_RUN, as far as one entry: with vcpu->mutex, which is free meanwhile if the process takes its time.
 * @throws KvmTdxError EINVAL for a vCPU or TD that is not ready, EIO for a VM that is dead
 */
export function runVcpu(task: Task, vm: TdVm, sept: KvmSept, vcpu: VcpuTdx): Eventually<TdExit> {
  vm.checkAlive();
  if (vcpu.isWaiting || !vcpu.mutex.tryLock(task)) return BUSY;
  let exit: Eventually<TdExit>;
  try {
    if (vcpu.state !== VcpuTdState.Initialized || vm.state !== TdState.Runnable)
      throw new KvmTdxError("EINVAL", `vCPU ${vcpu.id} is not initialized, or the TD not finalized`);
    exit = enter(task, vm, sept, vcpu);
  } catch (error) {
    vcpu.mutex.unlock(task);
    throw error;
  }
  if (exit instanceof Promise) return waitFor(task, vcpu, exit);
  vcpu.mutex.unlock(task);
  return exit;
}

async function waitFor(task: Task, vcpu: VcpuTdx, exit: Promise<TdExit>): Promise<TdExit> {
  vcpu.isWaiting = true;
  try {
    return await exit;
  } finally {
    vcpu.isWaiting = false;
    vcpu.mutex.unlock(task);
  }
}

/** tdx_vcpu_run and tdx_handle_exit. */
function enter(task: Task, vm: TdVm, sept: KvmSept, vcpu: VcpuTdx): Eventually<TdExit> {
  const { tdvpr } = vcpu;
  if (vm.waitForSeptZap || tdvpr === null) return BUSY;
  loadVcpu(vm, vcpu);
  const status = vm.host.seamcalls.vpEnter(vcpu.cpu, tdvpr, vcpu.args);
  if (isOperandBusy(status)) return BUSY;
  const reason = reasonOf(status);
  if (reason !== null && (status & FAILED_VMENTRY) !== 0n)
    return { reason: "fail-entry", hardwareEntryFailureReason: Number(status & 0xffff_ffffn) };
  if (reason === Reason.TripleFault) return { reason: "shutdown" };
  if (reason === null || (status & (ERROR | NON_RECOVERABLE)) !== 0n)
    return { reason: "internal-error", vpEnterRet: status };
  switch (reason) {
    case Reason.ExternalInterrupt:
      return { reason: "external-interrupt" };
    case Reason.ExceptionNmi:
      return exception(vcpu);
    case Reason.OtherSmi:
    case Reason.BusLock:
    case Reason.Notify:
      return HANDLED;
    case Reason.EptViolation:
      return handleEptViolation(task, vm, sept, vcpu);
    case Reason.Tdcall:
      return handleTdvmcall(vm, vcpu, status, outsideOf(task, vcpu));
    default:
      return { reason: "internal-error", vpEnterRet: status };
  }
}

/** Statuses of an entry that got into the guest without success; with any other there is no exit reason. Linux: tdx_is_exit_reason_valid. */
const ENTERED: ReadonlySet<bigint> = new Set([
  Status.NON_RECOVERABLE_VCPU,
  Status.NON_RECOVERABLE_TD,
  Status.NON_RECOVERABLE_TD_NON_ACCESSIBLE,
  Status.NON_RECOVERABLE_TD_WRONG_APIC_MODE,
]);

/** Statuses up to this are a success: most are. */
const LOW_32 = 0xffff_ffffn;

/** The exit reason, if the vCPU was in the guest at all. */
function reasonOf(status: bigint): number | null {
  return status <= LOW_32 || ENTERED.has(status & STATUS_CODE) ? Number(status & BASIC_REASON) : null;
}

function exception({ args }: VcpuTdx): TdExit {
  const info = args[Gpr.R9] as bigint;
  const vector = Number(info & VECTOR);
  if ((info & INTERRUPTION_TYPE) === TYPE_NMI) return { reason: "nmi" };
  return vector === MACHINE_CHECK ? HANDLED : { reason: "exception", vector };
}

/** As when KVM_RUN returns to the process: others can have the vCPU, but not run it. */
function outsideOf(task: Task, vcpu: VcpuTdx): Outside {
  return async (wait) => {
    vcpu.isWaiting = true;
    vcpu.mutex.unlock(task);
    try {
      return await wait;
    } finally {
      await vcpu.mutex.lock(task);
    }
  };
}

import type { Task } from "@vm/lockdep";
import { Gpr } from "../module/gpr.js";
import { KvmTdxError } from "./errors.js";
import type { KvmSept } from "./kvm-sept.js";
import type { Eventually, FaultResult, GuestAccess } from "./ports.js";
import { HANDLED, type TdExit } from "./td-exit.js";
import type { TdVm } from "./td-vm.js";
import type { VcpuTdx } from "./vcpu-tdx.js";

/** Exit qualification of an EPT violation. SDM 3C, table 29-7. */
const ACCESS_WRITE = 1n << 1n;
const ACCESS_FETCH = 1n << 2n;
/** Bits of it that say what the entry allowed. */
const PROTECTIONS = 0x78n;
/** Extended exit qualification: the type, and the one of a page that the guest has not accepted. */
const EXTENDED_TYPE = 0xfn;
const PENDING_EPT_VIOLATION = 6n;
const PAGE = 4096;

/** Maps what the guest touched, or says why not. Source: linux, tdx_handle_ept_violation. */
export function handleEptViolation(task: Task, vm: TdVm, sept: KvmSept, vcpu: VcpuTdx): Eventually<TdExit> {
  const qualification = vcpu.args[Gpr.Rcx] as bigint;
  const extended = vcpu.args[Gpr.Rdx] as bigint;
  const gpa = Number((vcpu.args[Gpr.R8] as bigint) % BigInt(2 * vm.sharedBit));
  if (!vm.isPrivateGpa(gpa)) {
    if ((qualification & ACCESS_FETCH) !== 0n) return dead(vm, `fetch from shared memory at 0x${gpa.toString(16)}`);
    const access = (qualification & ACCESS_WRITE) !== 0n ? "write" : "read";
    return when(vm.platform.faultIn(task, vcpu.index, gpa - vm.sharedBit, false, access), (result) =>
      exitOf(result, gpa - vm.sharedBit, false),
    );
  }
  if ((extended & EXTENDED_TYPE) === PENDING_EPT_VIOLATION && (qualification & PROTECTIONS) === 0n) {
    vm.kill();
    return { reason: "vm-dead", message: `guest access before accepting 0x${gpa.toString(16)} on vCPU ${vcpu.id}` };
  }
  try {
    sept.topup();
  } catch (error) {
    if (!(error instanceof KvmTdxError)) throw error;
    return { reason: "no-memory", gpa };
  }
  return faultInPrivate(task, vm, vcpu, gpa);
}

/**
 * Private pages are mapped to be written, whatever the access was. Nobody enters the guest while somebody is in the way only: entering without the page makes the
 * module suspect single-stepping.
 */
function faultInPrivate(task: Task, vm: TdVm, vcpu: VcpuTdx, gpa: number): Eventually<TdExit> {
  const access: GuestAccess = "write";
  const first = vm.platform.faultIn(task, vcpu.index, gpa, true, access);
  if (!(first instanceof Promise) && first !== "retry") return exitOf(first, gpa, true);
  return retry(first);

  async function retry(pending: Eventually<FaultResult>): Promise<TdExit> {
    let result = await pending;
    while (result === "retry" && !vm.isDead && !vm.platform.hasEvents(vcpu.index))
      result = await vm.platform.faultIn(task, vcpu.index, gpa, true, access);
    return vm.isDead ? dead(vm, vm.bugs[0] ?? "the VM is dead") : exitOf(result, gpa, true);
  }
}

function when(value: Eventually<FaultResult>, then: (result: FaultResult) => TdExit): Eventually<TdExit> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** After "retry" and "mmio" the guest tries again, and meets what it has to meet. */
function exitOf(result: FaultResult, gpa: number, isPrivate: boolean): TdExit {
  return result === "memory-fault" ? { reason: "memory-fault", gpa, size: PAGE, isPrivate } : HANDLED;
}

function dead(vm: TdVm, message: string): TdExit {
  if (!vm.isDead) vm.bug(message);
  return { reason: "vm-dead", message };
}

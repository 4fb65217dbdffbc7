import type { Task } from "@vm/lockdep";
import { checkHwError, type TdxCmd, TdxCmdId } from "./commands.js";
import { KvmTdxError } from "./errors.js";
import { getCpuid } from "./get-cpuid.js";
import { initMemRegion } from "./init-mem-region.js";
import type { KvmSept } from "./kvm-sept.js";
import { TdState, type TdVm } from "./td-vm.js";
import { initVcpu } from "./vcpu-init.js";
import { loadVcpu } from "./vcpu-load.js";
import type { VcpuTdx } from "./vcpu-tdx.js";
import { withVmState } from "./vm-state-guard.js";

/**
 * KVM_MEMORY_ENCRYPT_OP on a vCPU. What changes the TD's state is entered without vcpu->mutex, so that kvm->lock is outermost; the rest with it.
 * Source: linux, tdx_vcpu_unlocked_ioctl, tdx_vcpu_ioctl.
 */
export async function vcpuIoctl(
  task: Task,
  vm: TdVm,
  sept: KvmSept,
  vcpu: VcpuTdx,
  cmd: TdxCmd,
  signalPending: () => boolean = () => false,
): Promise<void> {
  vm.checkAlive();
  checkHwError(cmd);
  const isUnlocked = await withVmState(task, vm, async () => {
    checkNotFinal(vm);
    loadVcpu(vm, vcpu);
    if (cmd.id === TdxCmdId.InitMemRegion) await initMemRegion(task, vm, sept, vcpu, cmd, signalPending);
    else if (cmd.id === TdxCmdId.InitVcpu) initVcpu(task, vm, vcpu, cmd);
    else return false;
    return true;
  });
  if (isUnlocked) return;
  await vcpu.mutex.run(task, () => {
    checkNotFinal(vm);
    if (cmd.id !== TdxCmdId.GetCpuid) throw new KvmTdxError("EINVAL", `no command ${cmd.id} of a vCPU`);
    if (cmd.data === null) throw new KvmTdxError("EFAULT", "no room for CPUID entries");
    getCpuid(vm, cmd.data);
  });
}

function checkNotFinal(vm: TdVm): void {
  if (vm.hkid === null || vm.state === TdState.Runnable)
    throw new KvmTdxError("EINVAL", "the TD is not there yet, or finalized");
}

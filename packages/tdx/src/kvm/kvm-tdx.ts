import type { Task } from "@vm/lockdep";
import { type CmdOf, checkHwError, type TdxCapabilities, type TdxCmd, TdxCmdId } from "./commands.js";
import { KvmTdxError } from "./errors.js";
import { KvmSept } from "./kvm-sept.js";
import { injectNmi } from "./nmi.js";
import { runVcpu } from "./run.js";
import { isOperandBusy } from "./seamcalls.js";
import type { TdExit } from "./td-exit.js";
import { initTd } from "./td-init.js";
import { supportedAttributes, supportedXfam } from "./td-params.js";
import { TdState, TdVm } from "./td-vm.js";
import { reclaimControlPages, reclaimVcpu, releaseHkid } from "./teardown.js";
import { vcpuIoctl } from "./vcpu-ioctl.js";
import { VcpuTdx } from "./vcpu-tdx.js";
import { withVmState } from "./vm-state-guard.js";

/** KVM_MAX_VCPU_IDS: ids are x2APIC ids. */
const MAX_VCPU_IDS = 4096;
const CAN_NOTIFY = 1n << 1n;

/** A VM of type KVM_X86_TDX_VM: KVM's part of a TD, over the TDX module. Source: linux 7.3, arch/x86/kvm/vmx/tdx.c. */
export class KvmTdx extends TdVm {
  /** The page tables of private memory; fits `@vm/mmu`'s ExternalPageTable. */
  readonly sept = new KvmSept(this);

  /** KVM_MEMORY_ENCRYPT_OP on the VM. @throws KvmTdxError; nothing has changed, and a VM that is dead afterwards says EIO */
  async vmIoctl(task: Task, cmd: TdxCmd): Promise<void> {
    this.checkAlive();
    checkHwError(cmd);
    if (cmd.id === TdxCmdId.Capabilities) {
      this.#capabilities(cmd);
      return;
    }
    await withVmState(task, this, () => {
      if (cmd.id === TdxCmdId.InitVm) return initTd(task, this, cmd);
      if (cmd.id === TdxCmdId.FinalizeVm) return this.#finalize(cmd);
      throw new KvmTdxError("EINVAL", `no command ${cmd.id} of a VM`);
    });
  }

  #capabilities(cmd: CmdOf<TdxCmdId.Capabilities>): void {
    const { sysInfo } = this.host;
    if ((cmd.flags ?? 0) !== 0) throw new KvmTdxError("EINVAL", `flags 0x${cmd.flags?.toString(16)}`);
    if (cmd.data === null) throw new KvmTdxError("EFAULT", "no room for capabilities");
    if (cmd.data.nent < sysInfo.cpuidConfig.length)
      throw new KvmTdxError("E2BIG", `room for ${cmd.data.nent} CPUID entries; ${sysInfo.cpuidConfig.length}`);
    const capabilities: TdxCapabilities = {
      supportedAttrs: supportedAttributes(sysInfo),
      supportedXfam: supportedXfam(sysInfo, this.host.supportedXfam),
      userTdvmcallinfo1R11: CAN_NOTIFY,
      cpuid: sysInfo.cpuidConfig,
    };
    if (capabilities.supportedAttrs === 0n || capabilities.supportedXfam === 0n)
      throw new KvmTdxError("EIO", "the module wants what KVM does not have");
    cmd.data.capabilities = capabilities;
  }

  #finalize(cmd: CmdOf<TdxCmdId.FinalizeVm>): void {
    const { hkid, tdr, host } = this;
    if (hkid === null || tdr === null || this.state === TdState.Runnable)
      throw new KvmTdxError("EINVAL", "the TD is not there yet, or finalized");
    const status = host.seamcalls.mrFinalize(0, tdr);
    cmd.hwError = status;
    if (isOperandBusy(status)) throw new KvmTdxError("EBUSY", "the TD is in use");
    if (this.bugOn("TDH.MR.FINALIZE", status)) throw new KvmTdxError("EIO", "the TD cannot be finalized");
    this.state = TdState.Runnable;
    this.preFaultAllowed = true;
  }

  /** KVM_CREATE_VCPU. @throws KvmTdxError EINVAL, EEXIST, EIO unless the TD is initialized and not yet finalized */
  createVcpu(task: Task, id: number): Promise<VcpuTdx> {
    return this.locks.lock.run(task, () => {
      this.checkAlive();
      if (!Number.isInteger(id) || id < 0 || id >= MAX_VCPU_IDS || this.createdVcpus >= this.maxVcpus)
        throw new KvmTdxError("EINVAL", `vCPU ${id} is one too many, of ${this.maxVcpus}`);
      if (this.vcpus.some((vcpu) => vcpu.id === id)) throw new KvmTdxError("EEXIST", `there is a vCPU ${id}`);
      if (this.state !== TdState.Initialized) throw new KvmTdxError("EIO", "only an initialized TD gets vCPUs");
      if (!this.splitIrqchip) throw new KvmTdxError("EINVAL", "a TD has a split irqchip");
      this.createdVcpus++;
      const vcpu = new VcpuTdx(this.vcpus.length, id, this.locks.addVcpu());
      this.vcpus.push(vcpu);
      return vcpu;
    });
  }

  /** KVM_MEMORY_ENCRYPT_OP on a vCPU. @throws KvmTdxError, and what {@link TdMemory} throws */
  vcpuIoctl(task: Task, vcpu: VcpuTdx, cmd: TdxCmd, signalPending?: () => boolean): Promise<void> {
    return vcpuIoctl(task, this, this.sept, vcpu, cmd, signalPending);
  }

  /**
   * One entry of KVM_RUN: enters the guest once and does what its exit asks for. A promise if something behind the exit takes its time.
   * @throws KvmTdxError EINVAL for a vCPU or TD that is not ready, EIO for a VM that is dead
   */
  run(task: Task, vcpu: VcpuTdx): TdExit | Promise<TdExit> {
    return runVcpu(task, this, this.sept, vcpu);
  }

  /** An NMI for a vCPU, as soon as it takes one. */
  injectNmi(vcpu: VcpuTdx): void {
    injectNmi(this, vcpu);
  }

  /**
   * Ends the TD; all its private memory is removed before, as closing its guest_memfd does. What the module does not give back is in {@link bugs} and
   * {@link lostPages}.
   * @throws KvmTdxError EBUSY while private memory is mapped; nothing has changed
   */
  async destroy(task: Task): Promise<void> {
    await withVmState(task, this, async () => {
      if (this.sept.leaves > 0)
        throw new KvmTdxError("EBUSY", `${this.sept.leaves} private pages are mapped: close the guest_memfd first`);
      this.kill();
      await releaseHkid(task, this);
      if (this.hkid !== null) return;
      this.sept.reclaim();
      for (const vcpu of this.vcpus) reclaimVcpu(this, vcpu);
      reclaimControlPages(this);
      this.state = TdState.Uninitialized;
    });
  }
}

import type { Task } from "@vm/lockdep";
import type { CmdOf, TdxCmdId } from "./commands.js";
import { KvmTdxError } from "./errors.js";
import { FEATURE_TOPOLOGY_ENUM } from "./sys-info.js";
import { takePages } from "./td-init.js";
import type { TdVm } from "./td-vm.js";
import { VcpuTdState, type VcpuTdx } from "./vcpu-tdx.js";

/** VMCS fields by which interrupts are posted, as TDVPS fields of class VMCS. */
const POSTED_INTR_NV = 0x0002n;
const POSTED_INTR_DESC_ADDR = 0x2016n;
const PIN_BASED_CONTROLS = 0x4000n;
const PIN_BASED_POSTED_INTR = 1n << 7n;
/** Vector of the notification that interrupts are posted. Linux: POSTED_INTR_VECTOR. */
export const POSTED_INTR_VECTOR = 0xf2;

const MASK_16 = 0xffffn;
/** A descriptor is a multiple of 64. */
const MASK_DESCRIPTOR = 0xffff_ffff_ffff_ffc0n;
const MASK_64 = 0xffff_ffff_ffff_ffffn;

/** KVM_TDX_INIT_VCPU, with the state guarded and the vCPU loaded. Source: linux, tdx_vcpu_init and tdx_td_vcpu_init. @throws KvmTdxError */
export function initVcpu(task: Task, vm: TdVm, vcpu: VcpuTdx, cmd: CmdOf<TdxCmdId.InitVcpu>): void {
  if ((cmd.flags ?? 0) !== 0) throw new KvmTdxError("EINVAL", `flags 0x${cmd.flags?.toString(16)}`);
  if (vcpu.state !== VcpuTdState.Uninitialized) throw new KvmTdxError("EINVAL", `vCPU ${vcpu.id} is initialized`);
  const { tdr, host } = vm;
  const { seamcalls, pages, sysInfo } = host;
  if (tdr === null) throw new KvmTdxError("EINVAL", "the TD is not there yet");
  const [tdvpr, piDesc, ...tdcx] = takePages(pages, 2 + sysInfo.tdcxPages);
  if (tdvpr === undefined || piDesc === undefined) throw new KvmTdxError("ENOMEM", "no pages for a vCPU");
  const given: number[] = [];
  const give = (call: string, page: number, status: bigint): void => {
    if (!vm.bugOn(call, status)) {
      given.push(page);
      return;
    }
    for (const unused of [tdvpr, piDesc, ...tdcx]) if (!given.includes(unused)) pages.free(unused);
    throw new KvmTdxError("EIO", `${call} has failed`);
  };
  give("TDH.VP.CREATE", tdvpr, seamcalls.vpCreate(vcpu.cpu, tdr, tdvpr));
  vcpu.tdvpr = tdvpr;
  for (const page of tdcx) {
    give("TDH.VP.ADDCX", page, seamcalls.vpAddcx(vcpu.cpu, tdvpr, page));
    vcpu.tdcx.push(page);
  }
  host.memory.page(piDesc).fill(0);
  vcpu.piDesc = piDesc;
  // VP.INIT may have the TDR to itself, and whoever removes pages must not meet that.
  const x2apicId = (sysInfo.features0 & FEATURE_TOPOLOGY_ENUM) !== 0n ? vcpu.id : null;
  const rcx = cmd.data & MASK_64;
  const status = vm.locks.mmuLock.write(task, () => seamcalls.vpInit(vcpu.cpu, tdvpr, rcx, x2apicId));
  if (vm.bugOn("TDH.VP.INIT", status)) throw new KvmTdxError("EIO", "TDH.VP.INIT has failed");
  write(vm, vcpu, tdvpr, POSTED_INTR_NV, BigInt(POSTED_INTR_VECTOR), MASK_16);
  write(vm, vcpu, tdvpr, POSTED_INTR_DESC_ADDR, BigInt(piDesc), MASK_DESCRIPTOR);
  write(vm, vcpu, tdvpr, PIN_BASED_CONTROLS, PIN_BASED_POSTED_INTR, PIN_BASED_POSTED_INTR);
  vcpu.state = VcpuTdState.Initialized;
}

/** As in Linux, a field that cannot be written is the end of the VM and not of the call. */
function write(vm: TdVm, vcpu: VcpuTdx, tdvpr: number, field: bigint, value: bigint, mask: bigint): void {
  const status = vm.host.seamcalls.vpWr(vcpu.cpu, tdvpr, field, value, mask);
  vm.bugOn(`TDH.VP.WR of VMCS field 0x${field.toString(16)}`, status);
}

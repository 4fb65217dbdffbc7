import type { TdVm } from "./td-vm.js";
import type { VcpuTdx } from "./vcpu-tdx.js";

/** TDVPS.PEND_NMI, a field of class MANAGEMENT, and its bits. */
const PEND_NMI = 0x2000_0000_0000_000bn;
const MASK_8 = 0xffn;

/**
 * Has the TDX module deliver an NMI when the vCPU takes one; several before that are one. A vCPU that was never initialized has nobody to deliver it to.
 * Source: linux, tdx_inject_nmi.
 */
export function injectNmi(vm: TdVm, vcpu: VcpuTdx): void {
  if (vcpu.tdvpr === null || vm.hkid === null) return;
  vm.bugOn("TDH.VP.WR of PEND_NMI", vm.host.seamcalls.vpWr(vcpu.cpu, vcpu.tdvpr, PEND_NMI, 1n, MASK_8));
}

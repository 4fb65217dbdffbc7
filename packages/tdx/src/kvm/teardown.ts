/** How a TD ends. The order is the TDX module's: no vCPU is associated, caches are written back, the key is free, then pages come back, the TDR last. */
import type { Task } from "@vm/lockdep";
import { STATUS_CODE, Status } from "../module/status.js";
import type { TdVm } from "./td-vm.js";
import { NO_CPU, VcpuTdState, type VcpuTdx } from "./vcpu-tdx.js";

/** Linux: TDX_SEAMCALL_RETRIES. */
const CACHE_WB_RETRIES = 10_000;

/** Takes a vCPU off its logical processor. */
export function flushVp(vm: TdVm, vcpu: VcpuTdx): void {
  const { cpu, tdvpr } = vcpu;
  if (cpu === NO_CPU) return;
  vcpu.cpu = NO_CPU;
  if (vcpu.state === VcpuTdState.Uninitialized || tdvpr === null) return;
  const status = vm.host.seamcalls.vpFlush(cpu, tdvpr);
  if ((status & STATUS_CODE) !== Status.VCPU_NOT_ASSOCIATED) vm.bugOn("TDH.VP.FLUSH", status);
}

/** tdx_mmu_release_hkid: afterwards {@link TdVm.hkid} is null, or the key is lost because the module refused. */
export async function releaseHkid(task: Task, vm: TdVm): Promise<void> {
  const { hkid, tdr, host } = vm;
  if (hkid === null || tdr === null) return;
  const { seamcalls } = host;
  for (const vcpu of vm.vcpus) flushVp(vm, vcpu);
  await host.lock.run(task, () => {
    if (vm.bugOn("TDH.MNG.VPFLUSHDONE", seamcalls.mngVpflushdone(0, tdr))) return;
    for (const lp of host.packageLeaders) writeBackCaches(vm, lp);
    if (vm.bugOn("TDH.MNG.KEY.FREEID", seamcalls.mngKeyFreeid(0, tdr))) return;
    host.hkids.free(hkid);
    vm.hkid = null;
  });
}

function writeBackCaches(vm: TdVm, lp: number): void {
  let status: bigint = Status.SUCCESS;
  for (let tries = 0; tries < CACHE_WB_RETRIES; tries++) {
    status = vm.host.seamcalls.phymemCacheWb(lp, status !== Status.SUCCESS);
    if (status !== Status.INTERRUPTED_RESUMABLE) break;
  }
  // Somebody else did it on the way.
  if (status !== Status.NO_HKID_READY_TO_WBCACHE) vm.bugOn("TDH.PHYMEM.CACHE.WB", status);
}

/** Takes a page back and gives it to the host; a page that the module keeps is lost. @returns whether it came back */
export function reclaimPage(vm: TdVm, hpa: number): boolean {
  if (vm.bugOn("TDH.PHYMEM.PAGE.RECLAIM", vm.host.seamcalls.phymemPageReclaim(0, hpa))) {
    vm.lostPages++;
    return false;
  }
  vm.host.memory.page(hpa).fill(0);
  vm.host.pages.free(hpa);
  return true;
}

/** tdx_vcpu_free: not while the key is assigned. */
export function reclaimVcpu(vm: TdVm, vcpu: VcpuTdx): void {
  if (vm.hkid !== null) return;
  for (const hpa of vcpu.tdcx) reclaimPage(vm, hpa);
  vcpu.tdcx.length = 0;
  if (vcpu.tdvpr !== null) reclaimPage(vm, vcpu.tdvpr);
  if (vcpu.piDesc !== null) vm.host.pages.free(vcpu.piDesc);
  vcpu.tdvpr = null;
  vcpu.piDesc = null;
  vcpu.state = VcpuTdState.Uninitialized;
}

/** tdx_reclaim_td_control_pages: the last that is left of a TD. */
export function reclaimControlPages(vm: TdVm): void {
  if (vm.hkid !== null) return;
  const { host, tdr } = vm;
  for (const hpa of vm.tdcs) reclaimPage(vm, hpa);
  vm.tdcs.length = 0;
  if (tdr === null) return;
  vm.tdr = null;
  const { seamcalls } = host;
  if (
    vm.bugOn("TDH.PHYMEM.PAGE.RECLAIM", seamcalls.phymemPageReclaim(0, tdr)) ||
    vm.bugOn("TDH.PHYMEM.PAGE.WBINVD", seamcalls.phymemPageWbinvd(0, host.keyed(host.globalHkid, tdr)))
  ) {
    vm.lostPages++;
    return;
  }
  host.memory.page(tdr).fill(0);
  host.pages.free(tdr);
}

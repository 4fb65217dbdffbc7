import type { TdVm } from "./td-vm.js";
import { flushVp } from "./teardown.js";
import type { VcpuTdx } from "./vcpu-tdx.js";

/** vcpu_load: a vCPU has a logical processor of its own as far as there are enough. */
export function loadVcpu(vm: TdVm, vcpu: VcpuTdx, lp = vcpu.index % vm.host.processors.length): void {
  if (vcpu.cpu === lp || vm.hkid === null) return;
  flushVp(vm, vcpu);
  vcpu.cpu = lp;
}

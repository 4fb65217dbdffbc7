import { Status } from "./status.js";
import type { Td } from "./td.js";
import { MIN_TDVPS_PAGES, NOT_ASSOCIATED, type TdVcpu, VcpuState } from "./td-vcpu.js";

/**
 * Associates a vCPU with the logical processor that the host calls from: it may have something of it in its caches from then on.
 * @param allowDisabled whether a vCPU that never runs again is fine, too
 * @returns SUCCESS, or why the vCPU is not to be had there
 */
export function associate(td: Td, vcpu: TdVcpu, lp: number, allowDisabled: boolean): bigint {
  if (vcpu.pages.length < MIN_TDVPS_PAGES) return Status.TDCX_NUM_INCORRECT;
  if (vcpu.state !== VcpuState.Ready && !(allowDisabled && vcpu.state === VcpuState.Disabled))
    return Status.VCPU_STATE_INCORRECT;
  if (vcpu.associatedLp !== NOT_ASSOCIATED && vcpu.associatedLp !== lp) return Status.VCPU_ASSOCIATED;
  if (vcpu.associatedLp === NOT_ASSOCIATED) td.numAssociatedVcpus++;
  vcpu.associatedLp = lp;
  return Status.SUCCESS;
}

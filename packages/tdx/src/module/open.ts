import type { SeamcallLeaf, TdAccess, VcpuAccess } from "./leaf.js";
import { PageSize, PageType } from "./page-type.js";
import type { Seamcall } from "./seamcall.js";
import { OperandId, Status, withOperand } from "./status.js";
import { Lifecycle, MIN_TDCS_PAGES, type OpState, type Td } from "./td.js";
import type { LockMode } from "./try-lock.js";

/** SUCCESS, or why a TD's control structure cannot be used. */
export function checkBuilt(td: Td): bigint {
  if (td.fatal) return Status.TD_FATAL;
  if (td.lifecycle !== Lifecycle.KeysConfigured) return Status.TD_KEYS_NOT_CONFIGURED;
  if (td.tdcx.length < MIN_TDCS_PAGES) return Status.TDCS_NOT_ALLOCATED;
  return Status.SUCCESS;
}

/** Checks the TD, takes its OP_STATE lock unless the leaf runs without it, and checks the state. */
export function openTdcs(
  call: Seamcall,
  opState: LockMode | "unlocked",
  states: readonly OpState[] | undefined,
): bigint {
  const built = checkBuilt(call.td);
  if (built !== Status.SUCCESS) return built;
  if (opState !== "unlocked") {
    const busy = call.take(call.td.opStateLock, opState, OperandId.OpState);
    if (busy !== Status.SUCCESS) return busy;
  }
  return states === undefined || states.includes(call.td.opState) ? Status.SUCCESS : Status.OP_STATE_INCORRECT;
}

function openTdr(call: Seamcall, { operand, lock, flags }: TdAccess): bigint {
  const page = call.page(operand, PageType.Tdr, lock, PageSize.Size4K, flags);
  if (typeof page === "bigint") return page;
  const td = call.module.tds.get(page.hpa);
  if (td === undefined) return withOperand(Status.PAGE_METADATA_INCORRECT, operand);
  call.td = td;
  return Status.SUCCESS;
}

function openTdvpr(call: Seamcall, { operand, lock, tdrLock, tdrLockV1, flags }: VcpuAccess): bigint {
  const page = call.page(operand, PageType.Tdvpr, lock, PageSize.Size4K, flags);
  if (typeof page === "bigint") return page;
  const vcpu = call.module.vcpus.get(page.hpa);
  const tdr = call.module.pamt.entry(page.entry.owner, PageSize.Size4K);
  if (vcpu === undefined || tdr === undefined) return withOperand(Status.PAGE_METADATA_INCORRECT, operand);
  const busy = call.take(tdr, (call.version > 0 && tdrLockV1) || tdrLock, OperandId.Tdr);
  if (busy !== Status.SUCCESS) return busy;
  call.vcpu = vcpu;
  call.td = vcpu.td;
  return Status.SUCCESS;
}

/** Opens and locks what a leaf works on, in the order that all leaves have. */
export function open(call: Seamcall, { td, vcpu, states }: SeamcallLeaf): bigint {
  if (td !== undefined) {
    const status = openTdr(call, td);
    if (status !== Status.SUCCESS) return status;
  }
  if (vcpu !== undefined) {
    const status = openTdvpr(call, vcpu);
    if (status !== Status.SUCCESS) return status;
  }
  const opState = td?.opState ?? vcpu?.opState;
  return opState === undefined ? Status.SUCCESS : openTdcs(call, opState, states);
}

import { Gpr } from "../gpr.js";
import { KeyState } from "../kot.js";
import type { SeamcallLeaf } from "../leaf.js";
import { PageType } from "../page-type.js";
import type { Seamcall } from "../seamcall.js";
import { OperandId, Status } from "../status.js";
import { Lifecycle, MAX_TDCS_PAGES, MIN_TDCS_PAGES, OpState, Td } from "../td.js";
import { privateHkid } from "./sys-config.js";
import { programKey } from "./sys-init.js";

function create(call: Seamcall): bigint {
  const { module } = call;
  const hkid = privateHkid(call, Gpr.Rdx);
  if (typeof hkid === "bigint") return hkid;
  const page = call.freePage(Gpr.Rcx);
  if (typeof page === "bigint") return page;
  const busy = call.take(module.kot.lock, "exclusive", OperandId.Kot);
  if (busy !== Status.SUCCESS) return busy;
  const key = module.kot.entry(hkid);
  if (key?.state !== KeyState.Free) return Status.HKID_NOT_FREE;
  const td = new Td(page.hpa, hkid);
  if (!module.platform.random(td.uuid)) return Status.RND_NO_ENTROPY;
  key.state = KeyState.Assigned;
  module.tds.set(page.hpa, td);
  page.entry.type = PageType.Tdr;
  page.entry.owner = 0;
  return Status.SUCCESS;
}

function keyConfig(call: Seamcall): bigint {
  const { td, module } = call;
  if (td.fatal) return Status.TD_FATAL;
  if (td.lifecycle !== Lifecycle.HkidAssigned) return Status.LIFECYCLE_STATE_INCORRECT;
  const bit = 1 << call.package;
  if ((td.packagesConfigured & bit) !== 0) return Status.KEY_CONFIGURED;
  const status = programKey(call);
  if (status !== Status.SUCCESS) return status;
  td.packagesConfigured |= bit;
  if (td.packagesConfigured >>> 0 === module.allPackages) td.lifecycle = Lifecycle.KeysConfigured;
  return Status.SUCCESS;
}

function addCx(call: Seamcall): bigint {
  const { td } = call;
  if (td.fatal) return Status.TD_FATAL;
  if (td.lifecycle !== Lifecycle.KeysConfigured) return Status.TD_KEYS_NOT_CONFIGURED;
  if (td.tdcx.length >= MAX_TDCS_PAGES) return Status.TDCX_NUM_INCORRECT;
  const page = call.freePage(Gpr.Rcx);
  if (typeof page === "bigint") return page;
  if (td.tdcx.length >= MIN_TDCS_PAGES && td.opState !== OpState.Uninitialized) return Status.OP_STATE_INCORRECT;
  td.tdcx.push(page.hpa);
  td.chldcnt++;
  page.entry.type = PageType.Tdcx;
  page.entry.owner = td.tdr;
  return Status.SUCCESS;
}

function vpFlushDone(call: Seamcall): bigint {
  const { td, module } = call;
  const busy = call.take(module.kot.lock, "exclusive", OperandId.Kot);
  if (busy !== Status.SUCCESS) return busy;
  if (td.lifecycle !== Lifecycle.KeysConfigured && td.lifecycle !== Lifecycle.HkidAssigned)
    return Status.LIFECYCLE_STATE_INCORRECT;
  if (td.numAssociatedVcpus !== 0) return Status.FLUSHVP_NOT_DONE;
  const key = module.kot.of(td);
  key.toWriteBack = module.allPackages;
  key.state = KeyState.Flushed;
  td.lifecycle = Lifecycle.Blocked;
  return Status.SUCCESS;
}

function keyFreeId(call: Seamcall): bigint {
  const { td, module } = call;
  if (td.lifecycle !== Lifecycle.Blocked) return Status.LIFECYCLE_STATE_INCORRECT;
  const busy = call.take(module.kot.lock, "exclusive", OperandId.Kot);
  if (busy !== Status.SUCCESS) return busy;
  const key = module.kot.of(td);
  if (key.toWriteBack !== 0) return Status.WBCACHE_NOT_COMPLETE;
  key.state = KeyState.Free;
  td.lifecycle = Lifecycle.Teardown;
  return Status.SUCCESS;
}

const exclusive = (operand: Gpr) => ({ operand, lock: "exclusive" }) as const;

/** TDH.MNG.* but INIT and metadata: the life of a TD and its key. */
export const MNG_LEAVES: readonly SeamcallLeaf[] = [
  { number: 9, name: "TDH.MNG.CREATE", run: create },
  { number: 8, name: "TDH.MNG.KEY.CONFIG", td: exclusive(Gpr.Rcx), run: keyConfig },
  { number: 1, name: "TDH.MNG.ADDCX", td: exclusive(Gpr.Rdx), states: [OpState.Uninitialized], run: addCx },
  { number: 19, name: "TDH.MNG.VPFLUSHDONE", td: exclusive(Gpr.Rcx), run: vpFlushDone },
  { number: 20, name: "TDH.MNG.KEY.FREEID", td: exclusive(Gpr.Rcx), run: keyFreeId },
  { number: 27, name: "TDH.MNG.KEY.RECLAIMID", run: () => Status.SUCCESS },
];

import { Gpr } from "../gpr.js";
import { KeyState } from "../kot.js";
import type { SeamcallLeaf } from "../leaf.js";
import type { WriteBack } from "../module-state.js";
import { PAGE_BYTES, PageSize, PageType } from "../page-type.js";
import type { PamtEntry } from "../pamt.js";
import type { Page, Seamcall } from "../seamcall.js";
import { framesOf } from "../sept-access.js";
import { OperandId, Status, withOperand } from "../status.js";
import { Lifecycle } from "../td.js";
import type { LockMode } from "../try-lock.js";

/** The page that RCX names, whatever its type and size, locked. */
function anyPage(call: Seamcall, mode: LockMode): Page | bigint {
  const hpa = call.privateAddress(Gpr.Rcx, PageSize.Size4K);
  if (typeof hpa === "bigint") return hpa;
  const path = call.module.pamt.path(hpa);
  const entry = path.at(-1);
  if (entry === undefined) return withOperand(Status.OPERAND_ADDR_RANGE_ERROR, OperandId.Rcx);
  for (const node of path) {
    const busy = call.take(node, node === entry ? mode : "shared", OperandId.Rcx);
    if (busy !== Status.SUCCESS) return busy;
  }
  return { hpa, entry };
}

function describe({ out }: Seamcall, entry: PamtEntry): void {
  out[Gpr.Rcx] = BigInt(entry.type);
  out[Gpr.Rdx] = BigInt(entry.owner);
  out[Gpr.R8] = BigInt(entry.size);
}

function readMetadata(call: Seamcall): bigint {
  const page = anyPage(call, "shared");
  if (typeof page === "bigint") return page;
  const { entry } = page;
  describe(call, entry);
  if (entry.type === PageType.Reg || entry.type === PageType.Ept) call.out[Gpr.R9] = BigInt(entry.bepoch);
  return Status.SUCCESS;
}

/** Checks that the TD of a page is no more than its pages, and counts the page off. */
function reclaimFrom(call: Seamcall, entry: PamtEntry): bigint {
  const { module } = call;
  const tdr = module.pamt.entry(entry.owner, PageSize.Size4K);
  const td = module.tds.get(entry.owner);
  if (tdr === undefined || td === undefined) return withOperand(Status.PAGE_METADATA_INCORRECT, OperandId.Rcx);
  const busy = call.take(tdr, "shared", OperandId.Tdr);
  if (busy !== Status.SUCCESS) return busy;
  if (td.lifecycle !== Lifecycle.Teardown) return Status.LIFECYCLE_STATE_INCORRECT;
  td.chldcnt -= framesOf(entry.size);
  return Status.SUCCESS;
}

function reclaimTdr({ module }: Seamcall, hpa: number): bigint {
  const td = module.tds.get(hpa);
  if (td?.lifecycle !== Lifecycle.Teardown) return Status.LIFECYCLE_STATE_INCORRECT;
  if (td.chldcnt !== 0) return Status.TD_ASSOCIATED_PAGES_EXIST;
  module.tds.delete(hpa);
  return Status.SUCCESS;
}

function reclaim(call: Seamcall): bigint {
  const { module } = call;
  const page = anyPage(call, "exclusive");
  if (typeof page === "bigint") return page;
  const { hpa, entry } = page;
  if (entry.type === PageType.Nda || entry.type === PageType.Rsvd)
    return withOperand(Status.PAGE_METADATA_INCORRECT, OperandId.Rcx);
  describe(call, entry);
  if (hpa % PAGE_BYTES[entry.size] !== 0) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  const status = entry.type === PageType.Tdr ? reclaimTdr(call, hpa) : reclaimFrom(call, entry);
  if (status !== Status.SUCCESS) return status;
  const vcpu = entry.type === PageType.Tdvpr ? module.vcpus.get(hpa) : undefined;
  if (vcpu !== undefined) {
    module.vcpus.delete(hpa);
    vcpu.td.vcpus.delete(hpa);
  }
  entry.type = PageType.Nda;
  module.scramble(hpa, framesOf(entry.size));
  return Status.SUCCESS;
}

/** Parts of a cache that are written back one after the other, with a look for interrupts between. */
const CACHE_PARTS = 8;

function cacheWriteBack(call: Seamcall): bigint {
  const { module, lp, regs } = call;
  const command = regs[Gpr.Rcx] as bigint;
  if (command > 1n) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  const writeBack = module.writeBacks[call.package] as WriteBack;
  const busy = call.take(writeBack.lock, "exclusive", OperandId.Wbcache);
  if (busy !== Status.SUCCESS) return busy;
  const kotBusy = call.take(module.kot.lock, "shared", OperandId.Kot);
  if (kotBusy !== Status.SUCCESS) return kotBusy;
  if (command === 0n) {
    writeBack.part = 0;
    const flushed = module.kot.entries.filter(({ state }) => state === KeyState.Flushed);
    if (flushed.length === 0) return Status.NO_HKID_READY_TO_WBCACHE;
    writeBack.keys = flushed;
  } else if (writeBack.part === 0) return Status.WBCACHE_RESUME_ERROR;
  while (++writeBack.part < CACHE_PARTS)
    if (module.platform.interruptPending?.(lp) === true) return Status.INTERRUPTED_RESUMABLE;
  writeBack.part = 0;
  for (const key of writeBack.keys) key.toWriteBack &= ~(1 << call.package);
  return Status.SUCCESS;
}

/** The key id in the address says whose lines are to be written back; here, no line is ever behind. */
function pageWriteBack(call: Seamcall): bigint {
  const { hkidShift } = call.module;
  const keyBits = (2n ** BigInt(call.module.platform.maxPhysAddr - hkidShift) - 1n) << BigInt(hkidShift);
  const page = call.page(Gpr.Rcx, PageType.Nda, "shared", PageSize.Size4K, keyBits);
  return typeof page === "bigint" ? page : Status.SUCCESS;
}

const outputs = [Gpr.Rcx, Gpr.Rdx, Gpr.R8, Gpr.R9, Gpr.R10, Gpr.R11];

/** TDH.PHYMEM.*: pages and caches, whoever they belong to. */
export const PHYMEM_LEAVES: readonly SeamcallLeaf[] = [
  { number: 24, name: "TDH.PHYMEM.PAGE.RDMD", outputs, run: readMetadata },
  { number: 28, name: "TDH.PHYMEM.PAGE.RECLAIM", outputs, run: reclaim },
  { number: 40, name: "TDH.PHYMEM.CACHE.WB", run: cacheWriteBack },
  { number: 41, name: "TDH.PHYMEM.PAGE.WBINVD", run: pageWriteBack },
];

import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import { PAGE_BYTES, PageSize, PageType } from "../page-type.js";
import type { Page, Seamcall } from "../seamcall.js";
import { RIGHTS_ALL } from "../sept.js";
import {
  checkPrivate,
  checkState,
  checkTracked,
  framesOf,
  lockPamtOf,
  openEntry,
  pageInfo,
  walkTo,
} from "../sept-access.js";
import { isPending, SeptState } from "../sept-state.js";
import { OperandId, Status, withOperand } from "../status.js";
import { BUILDING, BUILT } from "./states.js";

const PAGE = PAGE_BYTES[PageSize.Size4K];

/** A page becomes memory of the TD. */
function own(call: Seamcall, { entry }: Page): void {
  entry.type = PageType.Reg;
  entry.owner = call.td.tdr;
  entry.bepoch = 0;
}

function add(call: Seamcall): bigint {
  const { td, module } = call;
  const info = pageInfo(call, 0, 0);
  if (typeof info === "bigint") return info;
  const isPrivate = checkPrivate(call, info.gpa);
  if (isPrivate !== Status.SUCCESS) return isPrivate;
  const entry = walkTo(call, info);
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, [SeptState.Free]);
  if (state !== Status.SUCCESS) return state;
  const source = call.sharedMemory(Gpr.R9, PAGE);
  if (typeof source === "bigint") return source;
  const page = call.freePage(Gpr.R8);
  if (typeof page === "bigint") return page;
  const frame = module.frame(page.hpa);
  frame.set(source);
  entry.setLeaf(SeptState.Mapped, page.hpa, RIGHTS_ALL);
  td.mrtdContext?.pageAdd(info.gpa);
  td.chldcnt++;
  own(call, page);
  return Status.SUCCESS;
}

function aug(call: Seamcall): bigint {
  const info = pageInfo(call, 0, 1);
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "shared");
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, [SeptState.Free, SeptState.Removed]);
  if (state !== Status.SUCCESS) return state;
  const page = call.freePage(Gpr.R8, info.level as PageSize);
  if (typeof page === "bigint") return page;
  entry.setLeaf(SeptState.Pending, page.hpa, 0);
  call.td.chldcnt += framesOf(info.level);
  own(call, page);
  return Status.SUCCESS;
}

const REMOVABLE = [
  SeptState.Mapped,
  SeptState.Blocked,
  SeptState.BlockedW,
  SeptState.Pending,
  SeptState.PendingBlocked,
  SeptState.PendingBlockedW,
];

function remove(call: Seamcall): bigint {
  const { td, module } = call;
  const info = pageInfo(call, 0, 2);
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "shared");
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, REMOVABLE);
  if (state !== Status.SUCCESS) return state;
  const page = lockPamtOf(call, entry);
  if (typeof page === "bigint") return page;
  const tracked = checkTracked(call, entry, page);
  if (tracked !== Status.SUCCESS) return tracked;
  const { hpa } = entry;
  entry.clear();
  td.chldcnt -= framesOf(info.level);
  page.type = PageType.Nda;
  module.scramble(hpa, framesOf(info.level));
  call.out[Gpr.Rcx] = BigInt(hpa);
  return Status.SUCCESS;
}

/** All states of a page; those of migration included, which no page here has. */
const RELOCATABLE = [
  ...REMOVABLE,
  SeptState.ExportedBlockedW,
  SeptState.ExportedDirty,
  SeptState.ExportedDirtyBlockedW,
  SeptState.PendingExportedBlockedW,
  SeptState.PendingExportedDirty,
  SeptState.PendingExportedDirtyBlockedW,
];

function relocate(call: Seamcall): bigint {
  const { module, regs, out } = call;
  const info = pageInfo(call, 0, 0);
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "shared");
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, RELOCATABLE);
  if (state !== Status.SUCCESS) return state;
  const { hpa } = entry;
  if (regs[Gpr.R8] === BigInt(hpa)) return withOperand(Status.OPERAND_INVALID, OperandId.R8);
  const old = lockPamtOf(call, entry);
  if (typeof old === "bigint") return old;
  const tracked = checkTracked(call, entry, old);
  if (tracked !== Status.SUCCESS) return tracked;
  const page = call.freePage(Gpr.R8);
  if (typeof page === "bigint") return page;
  const pending = isPending(entry.state);
  if (!pending) module.frame(page.hpa).set(module.frame(hpa));
  old.type = PageType.Nda;
  own(call, page);
  entry.setLeaf(pending ? SeptState.Pending : SeptState.Mapped, page.hpa, pending ? 0 : RIGHTS_ALL);
  module.scramble(hpa);
  out[Gpr.Rcx] = BigInt(hpa);
  return Status.SUCCESS;
}

const outputs = [Gpr.Rcx, Gpr.Rdx];
const shared = { operand: Gpr.Rdx, lock: "shared", opState: "shared" } as const;

/** TDH.MEM.PAGE.ADD, AUG, REMOVE and RELOCATE. */
export const MEM_PAGE_LEAVES: readonly SeamcallLeaf[] = [
  {
    number: 2,
    name: "TDH.MEM.PAGE.ADD",
    td: { operand: Gpr.Rdx, lock: "exclusive", opState: "unlocked" },
    states: BUILDING,
    outputs,
    run: add,
  },
  { number: 6, name: "TDH.MEM.PAGE.AUG", td: shared, states: BUILT, outputs, run: aug },
  { number: 29, name: "TDH.MEM.PAGE.REMOVE", td: shared, states: BUILT, outputs, run: remove },
  { number: 5, name: "TDH.MEM.PAGE.RELOCATE", td: shared, states: BUILT, outputs, run: relocate },
];

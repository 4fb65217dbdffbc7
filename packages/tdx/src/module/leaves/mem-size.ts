import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import { type PageSize, PageType } from "../page-type.js";
import type { Seamcall } from "../seamcall.js";
import { RIGHTS_ALL, SeptEntry, SeptTable } from "../sept.js";
import {
  bytesOf,
  checkState,
  checkTracked,
  lockPamtOf,
  openEntry,
  pageInfo,
  pamtOf,
  septDetails,
} from "../sept-access.js";
import { SeptState } from "../sept-state.js";
import { OperandId, Status, withOperand } from "../status.js";
import { unblockEntry } from "./mem-range.js";
import { NULL_PA, ownTable } from "./mem-sept.js";
import { BUILT } from "./states.js";

const ENTRIES = 512;
type Large = PageSize.Size2M | PageSize.Size1G;
/** RDX of DEMOTE: tables of L2 VMs only where there is something in them. */
const L2_SPARSE = 1n;
const L2_PAGES = [Gpr.R9, Gpr.R10, Gpr.R11];

/** An interrupt waits: the host gets its operands back and is to try again. */
function isInterrupted({ module, lp, out, regs }: Seamcall): boolean {
  if (module.platform.interruptPending?.(lp) !== true) return false;
  out[Gpr.Rcx] = regs[Gpr.Rcx] as bigint;
  out[Gpr.Rdx] = regs[Gpr.Rdx] as bigint;
  return true;
}

/** SUCCESS if the entries of a table, all of them locked now, are what one larger page of `level` could be. */
function checkMergeable(call: Seamcall, table: SeptTable, level: number): bigint {
  const first = new SeptEntry(table, 0, level - 1);
  const { state, hpa } = first;
  for (let index = 0; index < ENTRIES; index++) {
    const entry = new SeptEntry(table, index, level - 1);
    const busy = call.take(entry, "exclusive", OperandId.Rcx);
    if (busy !== Status.SUCCESS) return busy;
    const fits = entry.state === state && entry.hpa === hpa + index * bytesOf(level - 1);
    const whole =
      index > 0 || (hpa % bytesOf(level) === 0 && (state === SeptState.Mapped || state === SeptState.Pending));
    if (!fits || !whole) return withOperand(Status.EPT_INVALID_PROMOTE_CONDITIONS, OperandId.Rcx);
  }
  return Status.SUCCESS;
}

function promote(call: Seamcall): bigint {
  const { td, module, out } = call;
  if (call.version > 0) for (const gpr of L2_PAGES) out[gpr] = NULL_PA;
  const info = pageInfo(call, 1, 2);
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "shared");
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, [SeptState.NlMapped, SeptState.NlBlocked]);
  if (state !== Status.SUCCESS) return state;
  const table = lockPamtOf(call, entry);
  if (typeof table === "bigint") return table;
  const tracked = checkTracked(call, entry, table);
  if (tracked !== Status.SUCCESS) return tracked;
  const { child, hpa: tableHpa } = entry;
  if (child === undefined) return withOperand(Status.EPT_INVALID_PROMOTE_CONDITIONS, OperandId.Rcx);
  const mergeable = checkMergeable(call, child, info.level);
  if (mergeable !== Status.SUCCESS) return septDetails(call, entry, mergeable);
  if (isInterrupted(call)) return Status.INTERRUPTED_RESTARTABLE;
  const { hpa, state: merged } = new SeptEntry(child, 0, info.level - 1);
  const large = module.pamt.entry(hpa, info.level as PageSize);
  const busy = large === undefined ? Status.SUCCESS : call.take(large, "exclusive", OperandId.Rcx);
  if (busy !== Status.SUCCESS) return busy;
  module.pamt.promote(hpa, info.level as Large);
  entry.setLeaf(merged, hpa, merged === SeptState.Pending ? 0 : RIGHTS_ALL);
  td.chldcnt--;
  table.type = PageType.Nda;
  module.scramble(tableHpa);
  out[Gpr.Rcx] = BigInt(tableHpa);
  return Status.SUCCESS;
}

const DEMOTABLE = [SeptState.Mapped, SeptState.Blocked, SeptState.Pending, SeptState.PendingBlocked];

function demote(call: Seamcall): bigint {
  const { module } = call;
  const info = pageInfo(call, 1, 2);
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "shared");
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, DEMOTABLE);
  if (state !== Status.SUCCESS) return state;
  const large = pamtOf(call, entry);
  const tracked = checkTracked(call, entry, large);
  if (tracked !== Status.SUCCESS) return tracked;
  const page = call.freePage(Gpr.R8);
  if (typeof page === "bigint") return page;
  if (isInterrupted(call)) return Status.INTERRUPTED_RESTARTABLE;
  const busy = call.take(large, "exclusive", OperandId.Rcx);
  if (busy !== Status.SUCCESS) return busy;
  unblockEntry(entry);
  const { hpa, rights, state: small } = entry;
  const table = new SeptTable(page.hpa);
  for (let index = 0; index < ENTRIES; index++)
    new SeptEntry(table, index, info.level - 1).setLeaf(small, hpa + index * bytesOf(info.level - 1), rights);
  module.pamt.demote(hpa, info.level as Large);
  entry.setTable(table);
  ownTable(call, page);
  return Status.SUCCESS;
}

const outputs = [Gpr.Rcx, Gpr.Rdx];
const shared = (flags = 0n) => ({ operand: Gpr.Rdx, lock: "shared", opState: "shared", flags }) as const;

/** TDH.MEM.PAGE.PROMOTE and DEMOTE. */
export const MEM_SIZE_LEAVES: readonly SeamcallLeaf[] = [
  { number: 23, name: "TDH.MEM.PAGE.PROMOTE", versions: 1, td: shared(), states: BUILT, outputs, run: promote },
  { number: 15, name: "TDH.MEM.PAGE.DEMOTE", td: shared(L2_SPARSE), states: BUILT, outputs, run: demote },
];

import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import { PageType } from "../page-type.js";
import type { Page, Seamcall } from "../seamcall.js";
import { SeptTable } from "../sept.js";
import { checkState, checkTracked, lockPamtOf, openEntry, pageInfo, septDetails } from "../sept-access.js";
import { SeptState } from "../sept-state.js";
import { OperandId, Status, withOperand } from "../status.js";
import { BUILT } from "./states.js";

/** No page: what a host gives where it has none. */
export const NULL_PA = (1n << 64n) - 1n;
/** RDX of SEPT.ADD: a table that is there already is fine. */
const ALLOW_EXISTING = 1n;
/** RDX of SEPT.RD: attributes of L2 VMs are wanted, too. */
const READ_L2_ATTRIBUTES = 1n;
/** Bit 63 of a page that was given and not needed, of version 1. */
const NOT_USED = 1n << 63n;
/** The registers of pages for L2 VMs. */
const L2_PAGES = [Gpr.R9, Gpr.R10, Gpr.R11];

const top = (call: Seamcall) => (call.td.sept?.levels ?? 0) - 1;

/** A page becomes a table of the TD's secure EPT. */
export function ownTable(call: Seamcall, { entry }: Page): void {
  entry.type = PageType.Ept;
  entry.owner = call.td.tdr;
  entry.bepoch = 0;
  call.td.chldcnt++;
}

function add(call: Seamcall): bigint {
  const { regs, out, version } = call;
  const info = pageInfo(call, 1, top(call));
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "shared");
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, [SeptState.Free, SeptState.NlMapped]);
  if (state !== Status.SUCCESS) return state;
  const given = regs[Gpr.R8] !== NULL_PA;
  const needed = entry.state === SeptState.Free;
  if (!given && version === 0) return withOperand(Status.OPERAND_INVALID, OperandId.R8);
  const existingIsFine = ((regs[Gpr.Rdx] as bigint) & ALLOW_EXISTING) !== 0n;
  if (given ? !needed && !existingIsFine : needed)
    return septDetails(call, entry, withOperand(Status.EPT_ENTRY_STATE_INCORRECT, OperandId.Rcx));
  const page = given && needed ? call.page(Gpr.R8, PageType.Nda, "exclusive", 0, NOT_USED) : undefined;
  if (typeof page === "bigint") return page;
  const l2 = version > 0 ? L2_PAGES.find((gpr) => regs[gpr] !== NULL_PA) : undefined;
  if (l2 !== undefined) return withOperand(Status.OPERAND_INVALID, l2);
  if (page !== undefined) {
    ownTable(call, page);
    entry.setTable(new SeptTable(page.hpa));
  }
  if (version > 0) out[Gpr.R8] = given && page === undefined ? (regs[Gpr.R8] as bigint) | NOT_USED : NULL_PA;
  return Status.SUCCESS;
}

function read(call: Seamcall): bigint {
  const { td, regs, out } = call;
  const l2 = ((regs[Gpr.Rdx] as bigint) & READ_L2_ATTRIBUTES) !== 0n;
  if (l2 && !td.isDebug) return withOperand(Status.OPERAND_INVALID, OperandId.Rdx);
  const info = pageInfo(call, 0, top(call));
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "shared");
  if (typeof entry === "bigint") return entry;
  if (l2) out[Gpr.R8] = 0n;
  return septDetails(call, entry);
}

function remove(call: Seamcall): bigint {
  const { td, out, module } = call;
  const info = pageInfo(call, 1, top(call));
  if (typeof info === "bigint") return info;
  const entry = openEntry(call, info, "exclusive");
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, [SeptState.NlMapped, SeptState.NlBlocked]);
  if (state !== Status.SUCCESS) return state;
  const page = lockPamtOf(call, entry);
  if (typeof page === "bigint") return page;
  const tracked = checkTracked(call, entry, page);
  if (tracked !== Status.SUCCESS) return tracked;
  if (entry.child?.isFree !== true)
    return septDetails(call, entry, withOperand(Status.EPT_PAGE_NOT_FREE, OperandId.Rcx));
  const { hpa } = entry;
  entry.clear();
  td.chldcnt--;
  page.type = PageType.Nda;
  module.scramble(hpa);
  out[Gpr.Rcx] = BigInt(hpa);
  return Status.SUCCESS;
}

const outputs = [Gpr.Rcx, Gpr.Rdx];
const shared = (flags = 0n) => ({ operand: Gpr.Rdx, lock: "shared", opState: "shared", flags }) as const;

/** TDH.MEM.SEPT.ADD, RD and REMOVE. */
export const MEM_SEPT_LEAVES: readonly SeamcallLeaf[] = [
  { number: 3, name: "TDH.MEM.SEPT.ADD", versions: 1, td: shared(ALLOW_EXISTING), states: BUILT, outputs, run: add },
  { number: 25, name: "TDH.MEM.SEPT.RD", td: shared(READ_L2_ATTRIBUTES), states: BUILT, outputs, run: read },
  { number: 30, name: "TDH.MEM.SEPT.REMOVE", versions: 1, td: shared(), states: BUILT, outputs, run: remove },
];

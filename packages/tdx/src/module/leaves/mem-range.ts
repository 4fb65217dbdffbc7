import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import type { Seamcall } from "../seamcall.js";
import { RIGHTS_ALL, type SeptEntry } from "../sept.js";
import { checkState, isTracked, openEntry, pageInfo, pamtOf, septDetails } from "../sept-access.js";
import { isBlocked, SeptState } from "../sept-state.js";
import { OperandId, Status, withOperand } from "../status.js";
import { OpState } from "../td.js";
import { BUILT } from "./states.js";

const BLOCKED = new Map([
  [SeptState.NlMapped, SeptState.NlBlocked],
  [SeptState.Mapped, SeptState.Blocked],
  [SeptState.BlockedW, SeptState.Blocked],
  [SeptState.Pending, SeptState.PendingBlocked],
  [SeptState.PendingBlockedW, SeptState.PendingBlocked],
]);
const UNBLOCKED = new Map([
  [SeptState.NlBlocked, SeptState.NlMapped],
  [SeptState.Blocked, SeptState.Mapped],
  [SeptState.PendingBlocked, SeptState.Pending],
]);

function entryOf(call: Seamcall): SeptEntry | bigint {
  const info = pageInfo(call, 0, (call.td.sept?.levels ?? 0) - 1);
  return typeof info === "bigint" ? info : openEntry(call, info, "exclusive");
}

function block(call: Seamcall): bigint {
  const entry = entryOf(call);
  if (typeof entry === "bigint") return entry;
  const blocked = BLOCKED.get(entry.state);
  if (blocked === undefined) {
    const status = isBlocked(entry.state) ? Status.GPA_RANGE_ALREADY_BLOCKED : Status.EPT_ENTRY_STATE_INCORRECT;
    return septDetails(call, entry, withOperand(status, OperandId.Rcx));
  }
  entry.setState(blocked, 0);
  pamtOf(call, entry).bepoch = call.td.epoch.current;
  return Status.SUCCESS;
}

/** Makes an entry what it was before it was blocked; nothing, if it was not. */
export function unblockEntry(entry: SeptEntry): void {
  const state = UNBLOCKED.get(entry.state);
  if (state !== undefined) entry.setState(state, state === SeptState.Pending ? 0 : RIGHTS_ALL);
}

function unblock(call: Seamcall): bigint {
  const entry = entryOf(call);
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, [...UNBLOCKED.keys()]);
  if (state !== Status.SUCCESS) return state;
  if (call.td.opState === OpState.Runnable && !isTracked(call, pamtOf(call, entry)))
    return withOperand(Status.TLB_TRACKING_NOT_DONE, OperandId.SeptTree);
  unblockEntry(entry);
  return Status.SUCCESS;
}

function track(call: Seamcall): bigint {
  const { epoch } = call.td;
  const busy = call.take(epoch.lock, "exclusive", OperandId.TdEpoch);
  if (busy !== Status.SUCCESS) return busy;
  return epoch.advance() ? Status.SUCCESS : Status.PREVIOUS_TLB_EPOCH_BUSY;
}

const outputs = [Gpr.Rcx, Gpr.Rdx];
const shared = (operand: Gpr) => ({ operand, lock: "shared", opState: "shared" }) as const;

/** TDH.MEM.RANGE.BLOCK and UNBLOCK, TDH.MEM.TRACK. */
export const MEM_RANGE_LEAVES: readonly SeamcallLeaf[] = [
  { number: 7, name: "TDH.MEM.RANGE.BLOCK", td: shared(Gpr.Rdx), states: BUILT, outputs, run: block },
  { number: 39, name: "TDH.MEM.RANGE.UNBLOCK", td: shared(Gpr.Rdx), states: BUILT, outputs, run: unblock },
  { number: 38, name: "TDH.MEM.TRACK", td: shared(Gpr.Rcx), states: BUILT, run: track },
];

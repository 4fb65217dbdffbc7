import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import type { Seamcall } from "../seamcall.js";
import { checkPrivate, checkState, lockEntry, septDetails } from "../sept-access.js";
import { SeptState } from "../sept-state.js";
import { OperandId, Status, withOperand } from "../status.js";
import { BUILT } from "./states.js";

const WORD = 8;
const PAGE = 4096;
const READABLE = [
  SeptState.Mapped,
  SeptState.BlockedW,
  SeptState.ExportedBlockedW,
  SeptState.ExportedDirty,
  SeptState.ExportedDirtyBlockedW,
];
const WRITABLE = [SeptState.Mapped, SeptState.ExportedDirty];

/** The eight bytes of private memory that RCX names, of a debuggable TD. */
function memory(call: Seamcall, states: readonly SeptState[]): DataView | bigint {
  const { td, module } = call;
  if (!td.isDebug) return Status.TD_NON_DEBUG;
  const gpa = call.number(Gpr.Rcx);
  if (gpa % WORD !== 0) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  const busy = call.take(td.septLock, "shared", OperandId.SeptTree);
  if (busy !== Status.SUCCESS) return busy;
  const isPrivate = checkPrivate(call, gpa);
  if (isPrivate !== Status.SUCCESS) return isPrivate;
  const found = td.sept?.find(gpa, 0);
  if (found === undefined) return Status.OP_STATE_INCORRECT;
  if (!found.isLeaf || found.rights === 0)
    return septDetails(call, found, withOperand(Status.EPT_ENTRY_NOT_PRESENT, OperandId.Rcx));
  const entry = lockEntry(call, found);
  if (typeof entry === "bigint") return entry;
  const state = checkState(call, entry, states);
  if (state !== Status.SUCCESS) return state;
  const frame = module.frame(entry.hpa + (gpa % (PAGE * 512 ** entry.level)));
  return new DataView(frame.buffer, frame.byteOffset + (gpa % PAGE), WORD);
}

function read(call: Seamcall): bigint {
  const word = memory(call, READABLE);
  if (typeof word === "bigint") return word;
  call.out[Gpr.R8] = word.getBigUint64(0, true);
  return Status.SUCCESS;
}

function write(call: Seamcall): bigint {
  const word = memory(call, WRITABLE);
  if (typeof word === "bigint") return word;
  call.out[Gpr.R8] = word.getBigUint64(0, true);
  word.setBigUint64(0, call.regs[Gpr.R8] as bigint, true);
  return Status.SUCCESS;
}

const td = { operand: Gpr.Rdx, lock: "shared", opState: "shared" } as const;
const outputs = [Gpr.Rcx, Gpr.Rdx, Gpr.R8];

/** TDH.MEM.RD and WR: a debugger's access to private memory. */
export const MEM_DEBUG_LEAVES: readonly SeamcallLeaf[] = [
  { number: 12, name: "TDH.MEM.RD", td, states: BUILT, outputs, run: read },
  { number: 14, name: "TDH.MEM.WR", td, states: BUILT, outputs, run: write },
];

import { Gpr } from "./gpr.js";
import { PAGE_BYTES, PageSize } from "./page-type.js";
import type { PamtEntry } from "./pamt.js";
import type { Seamcall } from "./seamcall.js";
import type { SeptEntry } from "./sept.js";
import { isBlocked, needsTracking, publicState, SeptState } from "./sept-state.js";
import { OperandId, Status, withOperand } from "./status.js";
import { OpState } from "./td.js";
import type { LockMode } from "./try-lock.js";

/** A guest physical address and the level of what is meant there: 0 is 4 KiB. */
export interface PageInfo {
  readonly gpa: number;
  readonly level: number;
}

const LEVEL = 7;
/** Reserved bits of RCX, by halves. */
const RESERVED_LOW = 0xff8;
const RESERVED_HIGH = 0xfff0_0000;
const PAGE = 4096;
/** What hosts are told of leaf and other entries: rights, memory type, address, IPAT, PS and suppress-VE of the one, rights and PS of the other. */
const LEAF_MASK = 0x800f_ffff_ffff_f4ffn;
const TABLE_MASK = 0x487n;
const FREE = 1n << 63n;
const WRONG = withOperand(Status.OPERAND_INVALID, OperandId.Rcx);

/** RCX of a leaf that works on an entry, which has to have a level of `min` to `max`. */
export function pageInfo(call: Seamcall, min: number, max: number): PageInfo | bigint {
  const low = call.halves[2 * Gpr.Rcx] as number;
  const high = call.halves[2 * Gpr.Rcx + 1] as number;
  const level = low & LEVEL;
  if ((low & RESERVED_LOW) !== 0 || (high & RESERVED_HIGH) !== 0 || level < min || level > max) return WRONG;
  const gpa = low - level + high * 2 ** 32;
  return level > 0 && gpa % (PAGE * 512 ** level) !== 0 ? WRONG : { gpa, level };
}

/** SUCCESS for an address that is private and not too high. */
export function checkPrivate(call: Seamcall, gpa: number): bigint {
  return gpa < call.td.sharedBit ? Status.SUCCESS : WRONG;
}

/** Puts into RCX and RDX what an entry is like; `status` is what the leaf ends with. */
export function septDetails(call: Seamcall, entry: SeptEntry, status = Status.SUCCESS as bigint): bigint {
  const { state } = entry;
  const mask = entry.isLeaf ? LEAF_MASK : TABLE_MASK;
  call.out[Gpr.Rcx] = state === SeptState.Free ? FREE : entry.raw & mask;
  call.out[Gpr.Rdx] = BigInt(entry.level | (publicState(state) << 8));
  return status;
}

/** The entry that `info` names, of a tree that the caller has for itself. */
export function walkTo(call: Seamcall, { gpa, level }: PageInfo): SeptEntry | bigint {
  const entry = call.td.sept?.find(gpa, level);
  if (entry === undefined) return Status.OP_STATE_INCORRECT;
  return entry.level === level ? entry : septDetails(call, entry, withOperand(Status.EPT_WALK_FAILED, OperandId.Rcx));
}

/** The entry that RCX names, with the lock of the tree in `mode` and its own. */
export function openEntry(call: Seamcall, info: PageInfo, mode: LockMode): SeptEntry | bigint {
  const checked = checkPrivate(call, info.gpa);
  if (checked !== Status.SUCCESS) return checked;
  const busy = call.take(call.td.septLock, mode, OperandId.SeptTree);
  if (busy !== Status.SUCCESS) return busy;
  const entry = walkTo(call, info);
  return typeof entry === "bigint" ? entry : lockEntry(call, entry);
}

/** The entry with its lock. */
export function lockEntry(call: Seamcall, entry: SeptEntry): SeptEntry | bigint {
  const locked = call.take(entry, "exclusive", OperandId.Rcx);
  return locked === Status.SUCCESS ? entry : septDetails(call, entry, locked);
}

/** SUCCESS if the entry's state is one of those that the leaf works on. */
export function checkState(call: Seamcall, entry: SeptEntry, states: readonly SeptState[]): bigint {
  if (states.includes(entry.state)) return Status.SUCCESS;
  return septDetails(call, entry, withOperand(Status.EPT_ENTRY_STATE_INCORRECT, OperandId.Rcx));
}

/** The metadata of the page or table that an entry leads to. */
export function pamtOf(call: Seamcall, entry: SeptEntry): PamtEntry {
  const size = entry.isLeaf ? (entry.level as PageSize) : PageSize.Size4K;
  const found = call.module.pamt.entry(entry.hpa, size);
  if (found === undefined)
    throw new RangeError(`a secure EPT entry leads to 0x${entry.hpa.toString(16)}, out of the PAMT`);
  return found;
}

/** As {@link pamtOf}, locked. */
export function lockPamtOf(call: Seamcall, entry: SeptEntry): PamtEntry | bigint {
  const page = pamtOf(call, entry);
  const busy = call.take(page, "exclusive", OperandId.Rcx);
  return busy === Status.SUCCESS ? page : busy;
}

/** SUCCESS if no vCPU can use a translation by the entry: while the TD cannot run, or after it was blocked and tracked. */
export function checkTracked(call: Seamcall, entry: SeptEntry, page: PamtEntry): bigint {
  if (!needsTracking(entry.state) || call.td.opState !== OpState.Runnable) return Status.SUCCESS;
  if (!isBlocked(entry.state))
    return septDetails(call, entry, withOperand(Status.GPA_RANGE_NOT_BLOCKED, OperandId.Rcx));
  return isTracked(call, page) ? Status.SUCCESS : withOperand(Status.TLB_TRACKING_NOT_DONE, OperandId.Rcx);
}

/** Whether no vCPU can use a translation of a page any more that was blocked. */
export function isTracked(call: Seamcall, page: PamtEntry): boolean {
  return call.td.epoch.isTracked(page.bepoch);
}

/** Frames of 4 KiB that a page of a level has. */
export function framesOf(level: number): number {
  return 512 ** level;
}

/** Bytes of a page of a level. */
export function bytesOf(level: number): number {
  return PAGE_BYTES[level as PageSize];
}

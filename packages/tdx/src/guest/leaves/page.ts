import { Gpr } from "../../module/gpr.js";
import type { SeptEntry } from "../../module/sept.js";
import { isAcceptable, isLeafState, isPending, publicState, SeptState } from "../../module/sept-state.js";
import { OperandId, Status, withOperand } from "../../module/status.js";
import type { GuestContext } from "../context.js";
import { isGpa } from "../memory.js";
import type { Outcome } from "../outcome.js";
import { isOutcome, type TdcallLeaf } from "./leaf.js";

const PAGE = 4096;
const RWX = 7;
/** Levels that may be accepted: 4 KiB and 2 MiB. */
const MAX_ACCEPT_LEVEL = 1;
const MAX_ATTRIBUTE_LEVEL = 2;
const GPA_LIMIT = 1n << 52n;
/** Bit 62 of what TDG.MEM.PAGE.ATTR.RD says of a page. */
const PENDING = 1n << 62n;

/** Guest address and level as RCX has them. */
interface PageInfo {
  readonly gpa: number;
  readonly level: number;
}

/** The page that RCX names; undefined unless it is private, aligned to its level, and nothing is reserved. */
function pageInfo(context: GuestContext, maxLevel: number): PageInfo | undefined {
  const raw = context.cpu.gpr.get(Gpr.Rcx);
  if (raw >= GPA_LIMIT) return undefined;
  // The level has three bits, those from there to the page are reserved: it is the offset into the page.
  const level = Number(raw) % PAGE;
  const gpa = Number(raw) - level;
  if (level > maxLevel || gpa % (PAGE * 512 ** level) !== 0 || gpa >= context.td.sharedBit) return undefined;
  return { gpa, level };
}

/** Whether the guest can use the page of a leaf: present, or only writes are blocked. */
const isUsable = (entry: SeptEntry): boolean =>
  isLeafState(entry.state) && !isPending(entry.state) && entry.state !== SeptState.Blocked;

/** The host is asked to do something about an entry; then the guest tries again. */
function violation(
  context: GuestContext,
  { gpa, level }: PageInfo,
  entry: SeptEntry,
  type: "accept" | "attr-wr" = "accept",
): Outcome {
  return context.leave({
    reason: "ept-violation",
    violation: {
      gpa,
      access: "write",
      extended: {
        type,
        requestedLevel: level,
        entryLevel: entry.level,
        entryState: publicState(entry.state),
        entryIsLeaf: entry.isLeaf,
      },
    },
  });
}

/** What stands in the way of accepting an entry that is at the level asked for; SUCCESS if nothing does. */
function checkAcceptable(context: GuestContext, page: PageInfo, entry: SeptEntry): bigint | Outcome {
  const { state } = entry;
  if (!isLeafState(state) && state !== SeptState.Free && state !== SeptState.Removed)
    return withOperand(Status.PAGE_SIZE_MISMATCH, entry.level);
  if (isUsable(entry)) return withOperand(Status.PAGE_ALREADY_ACCEPTED, entry.level);
  return isAcceptable(state) ? Status.SUCCESS : violation(context, page, entry);
}

/** The page becomes the guest's: zeroes, and mapped. One of 2 MiB in one go: Intel's module may be interrupted between its 4 KiB pages. */
function acceptEntry(context: GuestContext, page: PageInfo, entry: SeptEntry): bigint | Outcome {
  const status = checkAcceptable(context, page, entry);
  if (isOutcome(status) || status !== Status.SUCCESS) return status;
  for (let at = 0; at < PAGE * 512 ** page.level; at += PAGE) context.module.zero(entry.hpa + at);
  entry.setState(entry.state === SeptState.Pending ? SeptState.Mapped : SeptState.ExportedDirty, RWX);
  return Status.SUCCESS;
}

function accept(context: GuestContext): bigint | Outcome {
  const page = pageInfo(context, MAX_ACCEPT_LEVEL);
  const entry = page && context.td.sept?.find(page.gpa, page.level);
  if (page === undefined || entry === undefined) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  if (entry.level > page.level)
    return isUsable(entry) ? withOperand(Status.PAGE_ALREADY_ACCEPTED, entry.level) : violation(context, page, entry);
  return withEntry(entry, () => acceptEntry(context, page, entry));
}

/** Runs with the entry locked for the guest; a host that wanted it comes first. */
function withEntry(entry: SeptEntry, run: () => bigint | Outcome): bigint | Outcome {
  const busy = entry.acquire("exclusive", true);
  if (busy !== Status.SUCCESS) return withOperand(busy, OperandId.Rcx);
  try {
    return run();
  } finally {
    entry.release("exclusive");
  }
}

/** States of a page whose attributes the guest may ask for, and change. */
const hasAttributes = (entry: SeptEntry): boolean =>
  isUsable(entry) || isAcceptable(entry.state) || entry.state === SeptState.PendingBlockedW;

/** Attributes are those of L2 VMs, of which there are none; the page's level and whether it is pending is what there is to know. */
function attributesRead(context: GuestContext): bigint | Outcome {
  const { gpr } = context.cpu;
  const address = gpr.get(Gpr.Rcx);
  const entry = isGpa(context, address, true) ? context.td.sept?.find(Number(address), 0) : undefined;
  if (entry !== undefined && !hasAttributes(entry))
    return context.leave({ reason: "ept-violation", violation: { gpa: Number(address), access: "read" } });
  if (entry !== undefined) describe(context, Number(address), entry);
  else for (const output of [Gpr.Rcx, Gpr.Rdx]) gpr.set(output, 0n);
  return entry === undefined ? withOperand(Status.OPERAND_INVALID, OperandId.Rcx) : Status.SUCCESS;
}

function describe({ cpu }: GuestContext, address: number, entry: SeptEntry): void {
  const size = PAGE * 512 ** entry.level;
  const pending = isPending(entry.state) ? PENDING : 0n;
  cpu.gpr.set(Gpr.Rcx, BigInt(address - (address % size)) | BigInt(entry.level) | pending);
  cpu.gpr.set(Gpr.Rdx, 0n);
}

/** Nothing can be set without L2 VMs: the attributes in RDX and their flags in R8 have to be zero. */
function attributesWrite(context: GuestContext): bigint | Outcome {
  const { gpr } = context.cpu;
  const refuse = (operand: OperandId, status: bigint = Status.OPERAND_INVALID): bigint => {
    for (const output of [Gpr.Rcx, Gpr.Rdx]) gpr.set(output, 0n);
    return withOperand(status, operand);
  };
  if (gpr.get(Gpr.Rdx) !== 0n) return refuse(OperandId.Rdx);
  if (gpr.get(Gpr.R8) !== 0n) return refuse(OperandId.R8);
  const page = pageInfo(context, MAX_ATTRIBUTE_LEVEL);
  const entry = page && context.td.sept?.find(page.gpa, page.level);
  if (page === undefined || entry === undefined) return refuse(OperandId.Rcx);
  if (entry.level > page.level) return violation(context, page, entry, "attr-wr");
  if (entry.child !== undefined) return refuse(entry.level as OperandId, Status.PAGE_SIZE_MISMATCH);
  if (!hasAttributes(entry)) return violation(context, page, entry, "attr-wr");
  describe(context, page.gpa, entry);
  return Status.SUCCESS;
}

/** Leaves of private pages. */
export const PAGE_LEAVES: readonly TdcallLeaf[] = [
  { number: 6, run: accept },
  { number: 23, run: attributesRead },
  { number: 24, run: attributesWrite },
];

import { sha384 } from "@noble/hashes/sha2.js";
import { Gpr } from "../../module/gpr.js";
import { OperandId, Status, withOperand } from "../../module/status.js";
import type { Td } from "../../module/td.js";
import { encodeTdInfo } from "../../report/td-info.js";
import type { GuestContext } from "../context.js";
import { guestMemory, isGpa } from "../memory.js";
import type { Outcome } from "../outcome.js";
import { isOutcome, type TdcallLeaf } from "./leaf.js";

const EXTEND_ALIGNMENT = 64n;
const DIGEST = 48;
const REPORT = 1024;
const REPORT_DATA = 64;
const REPORT_MAC_STRUCT = 256;

const refused = (operand: OperandId | Gpr): bigint => withOperand(Status.OPERAND_INVALID, operand);

/** Memory that a register names, `size` bytes aligned to as much; or that status or outcome which the leaf ends with. */
function operandMemory(
  context: GuestContext,
  gpr: Gpr,
  size: number,
  access: "read" | "write",
  privateOnly: boolean,
): Uint8Array | bigint | Outcome {
  const gpa = context.cpu.gpr.get(gpr);
  if (gpa % BigInt(size) !== 0n || !isGpa(context, gpa, privateOnly)) return refused(gpr);
  return guestMemory(context, gpa, size, access);
}

/** Runs with the RTMRs locked for the guest; a host that wanted them comes first. */
function withRtmrs(context: GuestContext, mode: "shared" | "exclusive", run: () => bigint | Outcome): bigint | Outcome {
  const { rtmrLock } = context.td;
  const busy = rtmrLock.acquire(mode, true);
  if (busy !== Status.SUCCESS) return withOperand(busy, OperandId.Rtmr);
  try {
    return run();
  } finally {
    rtmrLock.release(mode);
  }
}

/** RTMR[RDX] becomes the hash of itself and of the 48 bytes at RCX. */
function rtmrExtend(context: GuestContext): bigint | Outcome {
  const { gpr } = context.cpu;
  const gpa = gpr.get(Gpr.Rcx);
  if (gpa % EXTEND_ALIGNMENT !== 0n || !isGpa(context, gpa, true)) return refused(OperandId.Rcx);
  const digest = guestMemory(context, gpa, DIGEST, "read");
  if (isOutcome(digest)) return digest;
  const rtmr = context.td.rtmrs[Number(gpr.get(Gpr.Rdx))];
  if (rtmr === undefined) return refused(OperandId.Rdx);
  return withRtmrs(context, "exclusive", () => {
    rtmr.set(sha384.create().update(rtmr).update(digest).digest());
    return Status.SUCCESS;
  });
}

const NONE = new Uint8Array(DIGEST);

/** What a report says of a TD. */
function tdInfo(td: Td): Uint8Array {
  const [rtMr0 = NONE, rtMr1 = NONE, rtMr2 = NONE, rtMr3 = NONE] = td.rtmrs;
  const { attributes, xfam, mrtd: mrTd, mrConfigId, mrOwner, mrOwnerConfig, servTdHash } = td;
  return encodeTdInfo({
    attributes,
    xfam,
    mrTd,
    mrConfigId,
    mrOwner,
    mrOwnerConfig,
    rtMr0,
    rtMr1,
    rtMr2,
    rtMr3,
    servTdHash,
  });
}

/** Writes a report to RCX, with the 64 bytes at RDX in it. */
function report(context: GuestContext): bigint | Outcome {
  const { gpr } = context.cpu;
  if (gpr.get(Gpr.Rcx) % BigInt(REPORT) !== 0n) return refused(OperandId.Rcx);
  const data = operandMemory(context, Gpr.Rdx, REPORT_DATA, "read", false);
  if (!(data instanceof Uint8Array)) return data;
  if (gpr.get(Gpr.R8) !== 0n) return refused(OperandId.R8);
  return withRtmrs(context, "shared", () => {
    const to = operandMemory(context, Gpr.Rcx, REPORT, "write", false);
    if (!(to instanceof Uint8Array)) return to;
    to.set(context.ports.reports.create(tdInfo(context.td), data.slice()));
    return Status.SUCCESS;
  });
}

/** Whether the REPORTMACSTRUCT at RCX was made on this platform. */
function verifyReport(context: GuestContext): bigint | Outcome {
  const struct = operandMemory(context, Gpr.Rcx, REPORT_MAC_STRUCT, "read", true);
  if (!(struct instanceof Uint8Array)) return struct;
  switch (context.ports.reports.verify(struct.slice())) {
    case "valid":
      return Status.SUCCESS;
    case "invalid-cpusvn":
      return Status.INVALID_CPUSVN;
    case "invalid-reportmacstruct":
      return Status.INVALID_REPORTMACSTRUCT;
  }
}

/** Leaves of measurement and reports. */
export const MEASUREMENT_LEAVES: readonly TdcallLeaf[] = [
  { number: 2, run: rtmrExtend },
  { number: 4, run: report },
  { number: 22, run: verifyReport },
];

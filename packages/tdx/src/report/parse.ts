import { sha384 } from "@noble/hashes/sha2.js";
import { equal } from "../bytes/equal.js";
import { ReportError } from "./errors.js";
import {
  REPORT_MAC,
  REPORT_SIZE,
  REPORT_TYPE_TD,
  type ReportMac,
  TD_INFO,
  TD_INFO_OFFSET,
  type TdInfo,
  TEE_TCB_INFO,
  TEE_TCB_INFO_HASHED,
  TEE_TCB_INFO_OFFSET,
  type TeeTcbInfo,
} from "./layout.js";

/** TDREPORT_STRUCT: what the TDX module says about a TD to others on the same platform. */
export interface TdReport {
  readonly mac: ReportMac;
  readonly tcb: TeeTcbInfo;
  readonly td: TdInfo;
}

/**
 * Parses a TDREPORT. Says nothing about whether it is true: neither hashes nor MAC are checked, see {@link hashesMatch}.
 *
 * @param report 1024 bytes; they are copied
 * @throws {ReportError} for what is not a TD's report; nothing else
 */
export function parseTdReport(report: Uint8Array): TdReport {
  if (report.length !== REPORT_SIZE)
    throw new ReportError("length", 0, `a report of ${report.length} bytes; it has ${REPORT_SIZE}`);
  const copy = Uint8Array.from(report);
  const { reserved0, reserved1, reserved2, ...mac } = REPORT_MAC.read(copy);
  const { reserved: _unused, ...tcb } = TEE_TCB_INFO.read(copy, TEE_TCB_INFO_OFFSET);
  const { reserved: _later, ...td } = TD_INFO.read(copy, TD_INFO_OFFSET);
  if (mac.type !== REPORT_TYPE_TD || mac.subtype !== 0 || mac.version > 1) {
    const found = `type 0x${mac.type.toString(16)}, subtype ${mac.subtype}, version ${mac.version}`;
    throw new ReportError("type", 0, `${found}; a TD's report has type 0x81, subtype 0 and version 0 or 1`);
  }
  for (const [field, name] of [
    [reserved0, "reserved0"],
    [reserved1, "reserved1"],
    [reserved2, "reserved2"],
  ] as const) {
    if (field.some((byte) => byte !== 0))
      throw new ReportError(
        "reserved",
        REPORT_MAC.offsetOf(name),
        `${field.length} reserved bytes; they have to be zero`,
      );
  }
  return { mac, tcb, td };
}

/** TEE_TCB_INFO_HASH and TEE_INFO_HASH of the rest of a report: what its REPORTMACSTRUCT has to say. @param report 1024 bytes */
export function reportHashes(report: Uint8Array): {
  readonly teeTcbInfoHash: Uint8Array;
  readonly teeInfoHash: Uint8Array;
} {
  const hashed = report.subarray(TEE_TCB_INFO_OFFSET, TEE_TCB_INFO_OFFSET + TEE_TCB_INFO_HASHED);
  return { teeTcbInfoHash: sha384(hashed), teeInfoHash: sha384(report.subarray(TD_INFO_OFFSET, REPORT_SIZE)) };
}

/**
 * Whether the hashes in a report's REPORTMACSTRUCT are those of the rest, so that who trusts the one may trust the other.
 *
 * @throws {ReportError} as {@link parseTdReport}
 */
export function hashesMatch(report: Uint8Array): boolean {
  const { mac } = parseTdReport(report);
  const { teeTcbInfoHash, teeInfoHash } = reportHashes(report);
  return equal(mac.teeTcbInfoHash, teeTcbInfoHash) && equal(mac.teeInfoHash, teeInfoHash);
}

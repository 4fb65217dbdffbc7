import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha384 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { equal } from "../bytes/equal.js";
import { FieldError } from "../bytes/errors.js";
import { REPORT_MAC, REPORT_TYPE_TD, TD_INFO, TEE_TCB_INFO, TEE_TCB_INFO_HASHED, type TeeTcbInfo } from "./layout.js";

/** The fields of TEE_TCB_INFO that are there, as modules of version 1.5 say it. */
const VALID = 0x3_01ffn;

/** TEE_TCB_INFO of this software module. All SVNs are zero, which is less than any real module's. */
export const SIMULATED_TCB: TeeTcbInfo = {
  valid: VALID,
  teeTcbSvn: new Uint8Array(16),
  mrSeam: sha384(new TextEncoder().encode("SIMULATED TDX - NOT SECURE")),
  mrSignerSeam: new Uint8Array(48),
  attributes: 0n,
  teeTcbSvn2: new Uint8Array(16),
};

/** What a platform's reports are made with. */
export interface ReportPlatformDesc {
  /** The key of their MACs, 32 bytes: who has it makes reports that the platform takes for its own. */
  readonly secret: Uint8Array;
  /** SVNs of the CPU, 16 bytes; zeros by default. */
  readonly cpuSvn?: Uint8Array;
  /** {@link SIMULATED_TCB} by default. */
  readonly tcb?: TeeTcbInfo;
}

/** What is wrong with a REPORTMACSTRUCT, as TDG.MR.VERIFYREPORT says it. */
export type ReportVerdict = "valid" | "invalid-cpusvn" | "invalid-reportmacstruct";

/**
 * What the CPU does for TDREPORTs: SEAMOPS SEAMREPORT and SEAMVERIFYREPORT. The MAC is HMAC-SHA-256; a CPU's is its own secret too.
 *
 * @example
 * const platform = new ReportPlatform({ secret: randomBytes(32) });
 * const report = platform.create(tdInfo, reportData);
 * platform.verify(report.subarray(0, 256)); // "valid"
 */
export class ReportPlatform {
  readonly #secret: Uint8Array;
  readonly #cpuSvn: Uint8Array;
  readonly #tcbInfo: Uint8Array;

  /** @throws {FieldError} for a secret or SVNs of another length */
  constructor({ secret, cpuSvn = new Uint8Array(16), tcb = SIMULATED_TCB }: ReportPlatformDesc) {
    exactly(secret, 32, "secret");
    exactly(cpuSvn, 16, "cpuSvn");
    this.#secret = Uint8Array.from(secret);
    this.#cpuSvn = Uint8Array.from(cpuSvn);
    this.#tcbInfo = TEE_TCB_INFO.write({ ...tcb, reserved: new Uint8Array(112) });
  }

  /**
   * TDG.MR.REPORT: the 1024 bytes of a TDREPORT.
   *
   * @param tdInfo TDINFO, 512 bytes
   * @param reportData 64 bytes
   * @throws {FieldError} for other lengths
   */
  create(tdInfo: Uint8Array, reportData: Uint8Array): Uint8Array {
    exactly(tdInfo, TD_INFO.size, "tdInfo");
    const { servTdHash } = TD_INFO.read(tdInfo);
    const unsigned = REPORT_MAC.write({
      type: REPORT_TYPE_TD,
      subtype: 0,
      version: servTdHash.some((byte) => byte !== 0) ? 1 : 0,
      reserved0: new Uint8Array(1),
      reserved1: new Uint8Array(12),
      cpuSvn: this.#cpuSvn,
      teeTcbInfoHash: sha384(this.#tcbInfo.subarray(0, TEE_TCB_INFO_HASHED)),
      teeInfoHash: sha384(tdInfo),
      reportData,
      reserved2: new Uint8Array(32),
      mac: new Uint8Array(32),
    });
    unsigned.set(this.#mac(unsigned), REPORT_MAC.offsetOf("mac"));
    return concatBytes(unsigned, this.#tcbInfo, tdInfo);
  }

  /**
   * TDG.MR.VERIFYREPORT: whether a REPORTMACSTRUCT is this platform's. The rest of its report has to have the hashes in it.
   *
   * @param reportMac 256 bytes, of a report the first
   * @throws {FieldError} for another length
   */
  verify(reportMac: Uint8Array): ReportVerdict {
    exactly(reportMac, REPORT_MAC.size, "reportMac");
    const { type, subtype, version, reserved0, reserved1, reserved2, cpuSvn, mac } = REPORT_MAC.read(reportMac);
    if (type !== REPORT_TYPE_TD || subtype !== 0 || version > 1) return "invalid-reportmacstruct";
    if ([reserved0, reserved1, reserved2].some((field) => field.some((byte) => byte !== 0)))
      return "invalid-reportmacstruct";
    // A report of an older CPUSVN stays true; one of a newer cannot be.
    if (cpuSvn.some((svn, k) => svn > (this.#cpuSvn[k] ?? 0))) return "invalid-cpusvn";
    return equal(mac, this.#mac(reportMac)) ? "valid" : "invalid-reportmacstruct";
  }

  /** Over all of a REPORTMACSTRUCT but its MAC. */
  #mac(reportMac: Uint8Array): Uint8Array {
    return hmac(sha256, this.#secret, reportMac.subarray(0, REPORT_MAC.offsetOf("mac")));
  }
}

function exactly(value: Uint8Array, size: number, name: string): void {
  if (value.length !== size)
    throw new FieldError("field-size", `${name} has ${value.length} bytes; it has to have ${size}`);
}

import { bytes, Struct, u64 } from "../bytes/struct.js";

/** What a quote says about a TD, 584 bytes: "TD report for TDX 1.0", body type 2 of version 5 and the body of version 4. */
export interface TdReport10 {
  /** SVNs of the TDX module: minor, major, microcode and 13 reserved bytes. */
  readonly teeTcbSvn: Uint8Array;
  /** SHA-384 of the TDX module. */
  readonly mrSeam: Uint8Array;
  /** Who signed the TDX module, 48 bytes; zero for Intel. */
  readonly mrSignerSeam: Uint8Array;
  /** Zero for a TDX module of version 1. */
  readonly seamAttributes: bigint;
  /** ATTRIBUTES of the TD; bit 0 is DEBUG. */
  readonly tdAttributes: bigint;
  /** State components that the TD may use, as XCR0 and IA32_XSS. */
  readonly xfam: bigint;
  /** What the TD was built of, SHA-384. */
  readonly mrTd: Uint8Array;
  /** Chosen by the host at TDH.MNG.INIT, 48 bytes. */
  readonly mrConfigId: Uint8Array;
  /** Chosen by the host at TDH.MNG.INIT, 48 bytes. */
  readonly mrOwner: Uint8Array;
  /** Chosen by the host at TDH.MNG.INIT, 48 bytes. */
  readonly mrOwnerConfig: Uint8Array;
  /** Extended by the TD, SHA-384. */
  readonly rtMr0: Uint8Array;
  /** Extended by the TD, SHA-384. */
  readonly rtMr1: Uint8Array;
  /** Extended by the TD, SHA-384. */
  readonly rtMr2: Uint8Array;
  /** Extended by the TD, SHA-384. */
  readonly rtMr3: Uint8Array;
  /** Chosen by the TD when it asked for the report, 64 bytes. */
  readonly reportData: Uint8Array;
}

/** {@link TdReport10} and 64 bytes more: "TD report for TDX 1.5", body type 3 of version 5. */
export interface TdReport15 extends TdReport10 {
  /** SVNs of the TDX module as of now, where {@link TdReport10.teeTcbSvn} is from when the TD was made. */
  readonly teeTcbSvn2: Uint8Array;
  /** Hash over the service TDs, 48 bytes; zero without. */
  readonly mrServiceTd: Uint8Array;
}

const FIELDS_10 = {
  teeTcbSvn: bytes(16),
  mrSeam: bytes(48),
  mrSignerSeam: bytes(48),
  seamAttributes: u64,
  tdAttributes: u64,
  xfam: u64,
  mrTd: bytes(48),
  mrConfigId: bytes(48),
  mrOwner: bytes(48),
  mrOwnerConfig: bytes(48),
  rtMr0: bytes(48),
  rtMr1: bytes(48),
  rtMr2: bytes(48),
  rtMr3: bytes(48),
  reportData: bytes(64),
};

/** Layout of a {@link TdReport10}. */
export const TD_REPORT_10 = new Struct(FIELDS_10);
/** Layout of a {@link TdReport15}. */
export const TD_REPORT_15 = new Struct({ ...FIELDS_10, teeTcbSvn2: bytes(16), mrServiceTd: bytes(48) });

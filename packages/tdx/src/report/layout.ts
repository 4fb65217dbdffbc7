import { bytes, Struct, u8, u64 } from "../bytes/struct.js";

/** REPORTTYPE.TYPE of a TD's report. */
export const REPORT_TYPE_TD = 0x81;

/** REPORTMACSTRUCT: what of a report is authentic, by a key that only its platform has. */
export interface ReportMac {
  /** {@link REPORT_TYPE_TD}. */
  readonly type: number;
  /** 0. */
  readonly subtype: number;
  /** 0; 1 for a TD with service TDs. */
  readonly version: number;
  /** SVNs of the CPU, 16 bytes. */
  readonly cpuSvn: Uint8Array;
  /** SHA-384 of the first {@link TEE_TCB_INFO_HASHED} bytes of TEE_TCB_INFO. */
  readonly teeTcbInfoHash: Uint8Array;
  /** SHA-384 of TDINFO. */
  readonly teeInfoHash: Uint8Array;
  /** Chosen by the TD that asked for the report, 64 bytes. */
  readonly reportData: Uint8Array;
  /** Over the 224 bytes before, 32 bytes. */
  readonly mac: Uint8Array;
}

/** TEE_TCB_INFO: the TDX module that made a report. */
export interface TeeTcbInfo {
  /** Bit i: the field at byte 8 * i is there. */
  readonly valid: bigint;
  /** SVNs of the module when the TD was made, 16 bytes. */
  readonly teeTcbSvn: Uint8Array;
  /** SHA-384 of the module. */
  readonly mrSeam: Uint8Array;
  /** Who signed the module, 48 bytes; zero for Intel. */
  readonly mrSignerSeam: Uint8Array;
  readonly attributes: bigint;
  /** SVNs of the module as of now, 16 bytes. */
  readonly teeTcbSvn2: Uint8Array;
}

/** TDINFO: the TD. */
export interface TdInfo {
  readonly attributes: bigint;
  readonly xfam: bigint;
  /** 48 bytes, as all that follow. */
  readonly mrTd: Uint8Array;
  readonly mrConfigId: Uint8Array;
  readonly mrOwner: Uint8Array;
  readonly mrOwnerConfig: Uint8Array;
  readonly rtMr0: Uint8Array;
  readonly rtMr1: Uint8Array;
  readonly rtMr2: Uint8Array;
  readonly rtMr3: Uint8Array;
  /** Zero without service TDs. */
  readonly servTdHash: Uint8Array;
}

/** Layout of a {@link ReportMac}, 256 bytes. */
export const REPORT_MAC = new Struct({
  type: u8,
  subtype: u8,
  version: u8,
  reserved0: bytes(1),
  reserved1: bytes(12),
  cpuSvn: bytes(16),
  teeTcbInfoHash: bytes(48),
  teeInfoHash: bytes(48),
  reportData: bytes(64),
  reserved2: bytes(32),
  mac: bytes(32),
});
/** Layout of a {@link TeeTcbInfo}, 256 bytes. */
export const TEE_TCB_INFO = new Struct({
  valid: u64,
  teeTcbSvn: bytes(16),
  mrSeam: bytes(48),
  mrSignerSeam: bytes(48),
  attributes: u64,
  teeTcbSvn2: bytes(16),
  reserved: bytes(112),
});
/** Bytes of TEE_TCB_INFO that its hash is over: not all, as real reports show. */
export const TEE_TCB_INFO_HASHED = 239;
/** Layout of a {@link TdInfo}, 512 bytes. */
export const TD_INFO = new Struct({
  attributes: u64,
  xfam: u64,
  mrTd: bytes(48),
  mrConfigId: bytes(48),
  mrOwner: bytes(48),
  mrOwnerConfig: bytes(48),
  rtMr0: bytes(48),
  rtMr1: bytes(48),
  rtMr2: bytes(48),
  rtMr3: bytes(48),
  servTdHash: bytes(48),
  reserved: bytes(64),
});
/** Where TEE_TCB_INFO is in a report. */
export const TEE_TCB_INFO_OFFSET = REPORT_MAC.size;
/** Where TDINFO is in a report. */
export const TD_INFO_OFFSET = TEE_TCB_INFO_OFFSET + TEE_TCB_INFO.size;
/** Bytes of a report. */
export const REPORT_SIZE = TD_INFO_OFFSET + TD_INFO.size;

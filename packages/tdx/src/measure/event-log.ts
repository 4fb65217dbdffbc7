/** TPM_ALG_SHA384. */
export const ALGORITHM_SHA384 = 0x000c;
/** Bytes of digests by their TPM_ALG_ID: SHA-1, SHA-256, SHA-384, SHA-512, SM3-256. */
export const DIGEST_SIZES: ReadonlyMap<number, number> = new Map([
  [0x0004, 20],
  [0x000b, 32],
  [ALGORITHM_SHA384, 48],
  [0x000d, 64],
  [0x0012, 32],
]);
/** EV_NO_ACTION: tells something and is not extended. */
export const EV_NO_ACTION = 3;
/** What the first event of a log starts with. */
export const SPEC_ID_SIGNATURE = "Spec ID Event03\0";

/** A kind of digest that each event of a log has. */
export interface LogAlgorithm {
  /** TPM_ALG_ID. */
  readonly id: number;
  /** Bytes. */
  readonly digestSize: number;
}

/** What the first event says about the log. Source: TCG PC Client Platform Firmware Profile, TCG_EfiSpecIdEvent. */
export interface SpecId {
  readonly platformClass: number;
  readonly versionMajor: number;
  readonly versionMinor: number;
  readonly errata: number;
  /** Size of UINTN: 1 for 32 bits, 2 for 64. */
  readonly uintnSize: number;
  readonly algorithms: readonly LogAlgorithm[];
  readonly vendorInfo: Uint8Array;
}

/** Something that was measured. Source: TCG PC Client Platform Firmware Profile, TCG_PCR_EVENT2; UEFI, CC_EVENT. */
export interface LogEvent {
  /** 0, MRTD, which no event extends; 1 to 4, RTMR0 to RTMR3. */
  readonly mrIndex: number;
  /** As in `EVENT_TYPES`. */
  readonly type: number;
  /** SHA-384 that the register is extended with, 48 bytes. What it is of depends on the type. */
  readonly digest: Uint8Array;
  /** Tells what was measured. Often not what the digest is of. */
  readonly data: Uint8Array;
}

/** An event, and where it is in its log. */
export interface PlacedEvent extends LogEvent {
  /** Bytes from the start of the log. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** A log in TCG's crypto-agile format, as the CCEL table of a TD points to. */
export interface EventLog {
  readonly specId: SpecId;
  readonly events: readonly PlacedEvent[];
  /** Bytes up to the end of the last event. */
  readonly size: number;
}

/** What is wrong with the bytes of a TDREPORT. */
export type ReportErrorCode =
  /** Another length than 1024 bytes. */
  | "length"
  /** A type, subtype or version that no TD's report has. */
  | "type"
  /** Bytes that have to be zero are not. */
  | "reserved";

/** Bytes that are not a TDREPORT. The message says what, where, and what would be accepted. */
export class ReportError extends Error {
  override readonly name = "ReportError";

  constructor(
    readonly code: ReportErrorCode,
    /** In bytes from the start of the report. */
    readonly offset: number,
    message: string,
  ) {
    super(`${message} (at byte ${offset} of the report)`);
  }
}

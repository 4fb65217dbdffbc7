/** What is wrong with an event log, or with what was to be done with one. */
export type EventLogErrorCode =
  /** The log ends before a field does. */
  | "truncated"
  /** It does not start with the event that says what it is. */
  | "spec-id"
  /** It has no SHA-384, an unknown algorithm of digests, or one twice. */
  | "algorithm"
  /** An event has no digest, too many, or one that the log does not announce. */
  | "digests"
  /** A measurement register other than 0 (MRTD) to 4 (RTMR3). */
  | "mr-index"
  /** Something follows the end of the log. */
  | "after-end"
  /** There is no room for another event. Nothing was written or extended. */
  | "full";

/** An event log that cannot be used. The message says what, where, and what would be accepted. */
export class EventLogError extends Error {
  override readonly name = "EventLogError";

  constructor(
    readonly code: EventLogErrorCode,
    /** In bytes from the start of the log. */
    readonly offset: number,
    message: string,
  ) {
    super(`${message} (at byte ${offset} of the log)`);
  }
}

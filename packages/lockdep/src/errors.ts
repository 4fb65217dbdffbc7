import type { Report, ReportKind } from "./report.js";

/** What was done with a lock that no order of events makes right. */
export type LockUsageErrorCode =
  /** Released by a task that does not hold it so. */
  | "release"
  /** Spun on where nobody can ever release it. */
  | "spin"
  /** Of another validator than the task's. */
  | "foreign"
  /** Taken by a task that waits for another. */
  | "waiting";

/** A lock was used in a way that no order of events makes right. */
export class LockUsageError extends Error {
  override readonly name = "LockUsageError";

  constructor(
    readonly code: LockUsageErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** What an assertion about a lock asked for, and was not so. */
export type LockAssertionErrorCode = "held" | "held-exclusive" | "not-held";

/** An `assertHeld`, `assertHeldExclusive` or `assertNotHeld` did not hold. Thrown by an active validator only. */
export class LockAssertionError extends Error {
  override readonly name = "LockAssertionError";

  constructor(
    readonly code: LockAssertionErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** What {@link throwReport} throws: a validator's report as an exception. */
export class LockdepError extends Error {
  override readonly name = "LockdepError";
  /** The report's kind. */
  readonly code: ReportKind;

  constructor(readonly report: Report) {
    super(`${report.title}\n${report.text}`);
    this.code = report.kind;
  }
}

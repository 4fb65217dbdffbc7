import type { Report } from "./report.js";

/** A lock was used in a way that no order of events makes right: released by a task that does not hold it, spun on for ever. */
export class LockUsageError extends Error {
  override readonly name = "LockUsageError";
}

/** An `assertHeld`, `assertHeldExclusive` or `assertNotHeld` did not hold. Thrown by an active validator only. */
export class LockAssertionError extends Error {
  override readonly name = "LockAssertionError";
}

/** What {@link throwReport} throws: a validator's report as an exception. */
export class LockdepError extends Error {
  override readonly name = "LockdepError";

  constructor(readonly report: Report) {
    super(`${report.title}\n${report.text}`);
  }
}

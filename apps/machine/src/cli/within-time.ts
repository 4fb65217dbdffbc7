/** The time-out that was asked for is over. The message is one sentence; the program ends with status 124. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

export interface TimeLimit {
  /** Time of `performance.now()` from which the time-out counts. */
  readonly began: number;
  /** Seconds, or null for no limit. */
  readonly timeout: number | null;
}

/** What is left of a time-out, ms. */
export const timeLeft = (began: number, timeout: number): number =>
  Math.max(0, began + timeout * 1000 - performance.now());

/** What is said when a time-out is over. */
export const timedOut = (timeout: number): string => `timed out after ${timeout} s`;

/** Does `work`, whose signal is aborted when the time is over. @throws {TimeoutError} then, if the work heeds the signal */
export async function withinTime<T>(
  { began, timeout }: TimeLimit,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  if (timeout === null) return work(controller.signal);
  const timer = setTimeout(() => controller.abort(new TimeoutError(timedOut(timeout))), timeLeft(began, timeout));
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

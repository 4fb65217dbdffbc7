import { type CaseReport, type Door, Violation } from "./door.js";
import { TurnMeter } from "./turn-meter.js";

/** Longest time for which a case may keep the event loop from its turn, ms. */
export const TURN_LIMIT_MS = 50;
/** How often a case that kept it longer is repeated. Only what keeps it every time is the door's; the rest is the host's, or a first time. */
const REPEATS = 3;

/** What came of a case. */
export interface Outcome {
  readonly seed: number;
  readonly failure: { readonly violation: string; readonly detail: string } | null;
  readonly report: CaseReport;
  /** Longest turn, ms, of the quickest try. */
  readonly longestTurn: number;
  /** Turns over the limit that did not come again. */
  readonly stalls: number;
}

/** Runs one case. Never rejects. */
export async function runCase(door: Door, seed: number): Promise<Outcome> {
  const meter = new TurnMeter();
  let longestTurn = Number.POSITIVE_INFINITY;
  let report: CaseReport = {};
  const failed = (violation: string, detail: string): Outcome => ({
    seed,
    failure: { violation, detail },
    report,
    longestTurn,
    stalls: 0,
  });
  for (let tries = 0; tries <= REPEATS; tries++) {
    try {
      const { value, longest } = await meter.measure((opened) => door.check(seed, opened));
      report = value ?? {};
      longestTurn = Math.min(longestTurn, longest);
      if (door.computes || longestTurn <= TURN_LIMIT_MS)
        return { seed, failure: null, report, longestTurn, stalls: tries };
    } catch (error) {
      if (error instanceof Violation) return failed(error.violation, error.message);
      return failed("host exception", error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }
  return failed(
    "turn",
    `the event loop was kept for ${Math.round(longestTurn)} ms, ${REPEATS + 1} times out of as many`,
  );
}

import { checkDigest, type DigestCheck } from "./event-digest.js";
import { EV_NO_ACTION, type EventLog, type PlacedEvent } from "./event-log.js";
import { type RtmrIndex, Rtmrs } from "./rtmr.js";

/** An event and what it does. */
export interface ReplayedEvent {
  readonly event: PlacedEvent;
  /** The register that it extends; null for none. */
  readonly rtmr: RtmrIndex | null;
  readonly digest: DigestCheck;
}

/** What the registers are if a log is true. */
export interface Replay {
  readonly rtmrs: Rtmrs;
  readonly events: readonly ReplayedEvent[];
}

/** Extends registers with all that is in a log, in its order. Whether the TD's are the same, only a report or a quote says. */
export function replayEventLog(log: EventLog): Replay {
  const rtmrs = new Rtmrs();
  const events = log.events.map((event): ReplayedEvent => {
    const extended = event.mrIndex > 0 && event.type !== EV_NO_ACTION;
    const rtmr = extended ? ((event.mrIndex - 1) as RtmrIndex) : null;
    if (rtmr !== null) rtmrs.extend(rtmr, event.digest);
    return { event, rtmr, digest: checkDigest(event) };
  });
  return { rtmrs, events };
}

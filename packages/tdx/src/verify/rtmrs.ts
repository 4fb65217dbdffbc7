import { bytesToHex } from "@noble/hashes/utils.js";
import { equal } from "../bytes/equal.js";
import { EventLogError } from "../measure/event-log-errors.js";
import { parseEventLog } from "../measure/event-log-parse.js";
import { type Replay, replayEventLog } from "../measure/replay.js";
import { BODY_ENCLAVE, type QuoteBody } from "../quote/quote.js";
import type { Findings } from "./reasons.js";

/** What an event log leads to. */
export interface RtmrReplay extends Replay {
  /** Whether RTMR0 to RTMR3 are quoted so. Of RTMR3 nothing is demanded: what extends it need not write a log. */
  readonly matches: readonly boolean[];
}

/** Those that the firmware and the boot loader extend, and log. */
const ENFORCED = 3;

/** Replays an event log and checks that RTMR0 to RTMR2 are what it leads to. @returns undefined with a finding without a usable log */
export function checkRtmrs(findings: Findings, body: QuoteBody, eventLog: Uint8Array): RtmrReplay | undefined {
  if (body.type === BODY_ENCLAVE) {
    findings.add("EVENT_LOG", "An SGX enclave has no event log.");
    return undefined;
  }
  const log = findings.attempt("EVENT_LOG", "the event log", [EventLogError], () => parseEventLog(eventLog));
  if (log === undefined) return undefined;
  const replay = replayEventLog(log);
  const { rtMr0, rtMr1, rtMr2, rtMr3 } = body.report;
  const matches = [rtMr0, rtMr1, rtMr2, rtMr3].map((quoted, i) => {
    const replayed = replay.rtmrs.get(i as 0 | 1 | 2 | 3);
    const same = equal(quoted, replayed);
    if (!same && i < ENFORCED)
      findings.add("RTMR", `RTMR${i} is ${bytesToHex(quoted)} and the event log leads to ${bytesToHex(replayed)}.`);
    return same;
  });
  return { ...replay, matches };
}

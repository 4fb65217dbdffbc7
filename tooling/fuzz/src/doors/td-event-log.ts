import {
  CcelError,
  describeEvent,
  EventLogError,
  eventTypeName,
  parseCcel,
  parseEventLog,
  replayEventLog,
  writeCcel,
} from "@vm/tdx";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";
import { randomLog } from "../tdx/log.js";
import { spoilt } from "../tdx/spoil.js";

/** Bytes of the area of a log. */
const AREA = 1 << 16;
const EVENTS = 60;
const DATA = 900;

/** Logs of what a TD has measured, and the table that says where they are. */
export const tdEventLog: Door = {
  name: "td-event-log",
  summary: "event logs and CCEL tables of TDs, damaged",
  check: (seed, opened) => {
    const random = new Random(seed);
    const area = randomLog(random, 1024 + random.below(AREA), EVENTS, DATA);
    const damaged = random.chance(80);
    const log = damaged ? spoilt(random, area) : area;
    const table = writeCcel({
      ...{ oemId: "VM", oemTableId: "TD", oemRevision: 1, logAreaStart: 0x1000n },
      logAreaLength: BigInt(area.length),
    });
    opened();
    const read = outcome(EventLogError, () => replay(log));
    if (!damaged && read !== "read") throw new Violation("refused", `a log that is whole is refused: ${read}`);
    return {
      kinds: {
        log: `${damaged ? "damaged" : "whole"}: ${read}`,
        table: outcome(CcelError, () => void parseCcel(random.chance(20) ? table : spoilt(random, table))),
      },
    };
  },
};

function replay(bytes: Uint8Array): void {
  const log = parseEventLog(bytes);
  if (log.size > bytes.length) throw new Violation("size", `a log of ${log.size} bytes in ${bytes.length}`);
  const { events } = replayEventLog(log);
  for (const { event } of events) {
    eventTypeName(event.type);
    describeEvent(event);
  }
}

/** What came of it: "read", or the code of the door's own error. Any other is the case's. */
function outcome(kind: typeof EventLogError | typeof CcelError, work: () => void): string {
  try {
    work();
    return "read";
  } catch (error) {
    if (error instanceof kind) return error.code;
    throw error;
  }
}

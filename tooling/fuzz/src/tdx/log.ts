import { EV_NO_ACTION, EVENT_TYPES, EventLogWriter } from "@vm/tdx";
import type { Random } from "../random.js";

const TYPES = [...EVENT_TYPES.keys(), 0, 0xffff_ffff];
/** Bytes of an event besides its data, at most. */
const HEAD = 100;

/**
 * A log of random events, in an area of which something is left.
 * @param events there are fewer @param data bytes of an event, fewer
 */
export function randomLog(random: Random, size: number, events: number, data: number): Uint8Array {
  const area = new Uint8Array(size).fill(random.chance(50) ? 0xff : 0);
  const writer = EventLogWriter.create(area);
  let left = size - HEAD;
  for (let k = random.below(events); k > 0; k--) {
    const mrIndex = random.below(5);
    const event = {
      ...{ mrIndex, type: mrIndex === 0 ? EV_NO_ACTION : random.pick(TYPES) },
      ...{ digest: Uint8Array.from(random.bytes(48)), data: Uint8Array.from(random.bytes(random.below(data))) },
    };
    left -= HEAD + event.data.length;
    if (left < 0) break;
    writer.measure(event, () => undefined);
  }
  return area;
}

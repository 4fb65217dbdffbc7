import { sha384 } from "@noble/hashes/sha2.js";
import { EventLogWriter, type Extend, type LogEvent } from "../../src/index.js";

export const NOTHING: Extend = () => undefined;

const text = (value: string) => new TextEncoder().encode(value);

/** An event whose digest is of its data. */
export const event = (mrIndex: number, type: number, data: string): LogEvent => ({
  mrIndex,
  type,
  digest: sha384(text(data)),
  data: text(data),
});

export const EVENTS: readonly LogEvent[] = [
  event(1, 0x8000_0007, "Calling EFI Application from Boot Option"),
  event(3, 0x0d, "/boot/vmlinuz"),
  event(0, 3, "StartupLocality"),
  event(4, 0x0800_0001, "app-id"),
];

/** The area of a log with these events, `spare` bytes longer than the log. */
export function area(events: readonly LogEvent[] = EVENTS, spare = 40): Uint8Array {
  const bytes = new Uint8Array(65 + events.reduce((sum, { data }) => sum + 66 + data.length, 0) + spare);
  const log = EventLogWriter.create(bytes);
  for (const one of events) log.measure(one, NOTHING);
  return bytes;
}

import { sha384 } from "@noble/hashes/sha2.js";
import { equal } from "../bytes/equal.js";
import { EV_NO_ACTION, type LogEvent } from "./event-log.js";
import { isText, utf8 } from "./event-strings.js";
import { measuredVariable } from "./event-variable.js";

/**
 * Whether an event's data is what its digest is of. Registers are extended with digests only, so an event whose data differs replays
 * well, and says something that was not measured. Of most types the data only names what was measured: `unknown`.
 */
export type DigestCheck = "matches" | "differs" | "unknown";

/** Types of events whose digest is of their data. Source: TCG PC Client Platform Firmware Profile, "Event Types". */
const OF_DATA: ReadonlySet<number> = new Set([
  0x04, 0x05, 0x08, 0x8000_0001, 0x8000_0006, 0x8000_0007, 0x8000_000c, 0x8000_00e0,
]);
/** EV_EFI_VARIABLE_BOOT: the digest is of what is in the variable; of the data in some firmware. */
const OF_VARIABLE = 0x8000_0002;
/** EV_IPL. GRUB has the digest of what follows these words. */
const IPL = 0x0d;
const GRUB_WORDS = ["grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "];

/** Compares an event's digest with that of what its data says was measured. */
export function checkDigest(event: LogEvent): DigestCheck {
  const measured = possiblyMeasured(event);
  if (measured.length === 0) return "unknown";
  return measured.some((bytes) => equal(event.digest, sha384(bytes))) ? "matches" : "differs";
}

/** What the digest may be of. */
function possiblyMeasured({ type, data }: LogEvent): readonly Uint8Array[] {
  if (type === EV_NO_ACTION) return [];
  if (OF_DATA.has(type)) return [data];
  if (type === OF_VARIABLE) {
    const variable = measuredVariable(data);
    return variable === null ? [data] : [variable.content, data];
  }
  if (type !== IPL || !isText(data)) return [];
  const word = GRUB_WORDS.find((known) => utf8(data).startsWith(known));
  if (word === undefined) return [];
  const text = data.subarray(word.length);
  return [text.at(-1) === 0 ? text.subarray(0, -1) : text];
}

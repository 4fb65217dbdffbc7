import { LinuxError, parseOffsets, printOffsets } from "@vm/vdso-timens";
import { checkedOffsets } from "../../../../packages/vdso-timens/src/namespace/offsets.js";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";

/** What a write can take, bytes. */
const MOST = 4095;
const WORDS = ["monotonic", "boottime", "realtime", "1", "7", "0", "-1", "+5", "999999999", "1000000000", "9223372036"];
const MORE = [
  "9223372037",
  "18446744073709551615",
  "\0",
  "\n",
  "\n\n",
  " ",
  "\t",
  "\v",
  "\xa0",
  "x",
  "monotonic-5",
  "",
];

const ERRORS: ReadonlySet<string> = new Set(["EINVAL", "ERANGE"]);

/** Text for `/proc/PID/timens_offsets`: words that it knows, numbers at its limits, white space, noise. */
export const timensOffsets: Door = {
  name: "timens-offsets",
  summary: "what a task writes to /proc/PID/timens_offsets",
  check: (seed) => {
    const random = new Random(seed);
    let kind = "refused";
    for (let k = 0; k < 50; k++) {
      const text = textOf(random);
      const now = { monotonic: { sec: random.below(1e6), nsec: 5 }, boottime: { sec: random.below(1e9), nsec: 0 } };
      const zero = { monotonic: { sec: 0, nsec: 0 }, boottime: { sec: 0, nsec: 0 } };
      try {
        const { lines, consumed } = parseOffsets(text);
        if (consumed < 0 || consumed > text.length || lines.length > 2)
          throw new Violation("parsed", `${lines.length} lines, ${consumed} of ${text.length} bytes`);
        const offsets = checkedOffsets(zero, lines, now);
        kind = "taken";
        // What was taken reads back as what it was.
        const again = checkedOffsets(zero, parseOffsets(printOffsets(offsets)).lines, now);
        if (JSON.stringify(again) !== JSON.stringify(offsets))
          throw new Violation("reads back", `${JSON.stringify(offsets)} as ${JSON.stringify(again)}`);
        for (const { sec, nsec } of Object.values(offsets))
          if (!Number.isSafeInteger(sec) || !Number.isInteger(nsec) || nsec < 0 || nsec > 999_999_999)
            throw new Violation("offset", `${sec} s ${nsec} ns`);
      } catch (error) {
        if (!(error instanceof LinuxError && ERRORS.has(error.code))) throw error;
      }
    }
    return { kinds: { "last text": kind } };
  },
};

function textOf(random: Random): string {
  if (random.chance(10)) return String.fromCharCode(...random.bytes(random.below(MOST + 1)));
  const parts: string[] = [];
  for (let k = random.below(12); k > 0; k--) {
    if (random.chance(40)) {
      const line = [random.pick(WORDS.slice(0, 2)), random.below(2e6) - 1e6, random.below(1e9)].join(" ");
      parts.push(`${line}\n`);
    } else parts.push(random.pick(random.chance(60) ? WORDS : MORE), random.chance(70) ? " " : "");
  }
  return parts.join("").slice(0, MOST);
}

import { describe, expect, test } from "vitest";
import {
  BODY_ENCLAVE,
  describeEvent,
  parseCcel,
  parseEventLog,
  parseQuote,
  replayEventLog,
  type TdReport10,
} from "../../src/index.js";
import { data, HAS_DATA, WITHOUT_DATA } from "../data.js";

function quoted(): TdReport10 {
  const { body } = parseQuote(data("go-tdx-guest/cos-113-tdx-quote.dat"));
  if (body.type === BODY_ENCLAVE) throw new Error("an enclave's");
  return body.report;
}

describe.skipIf(!HAS_DATA)(`the log of a real TD${WITHOUT_DATA}`, () => {
  test("fills the area that its table names", () => {
    const { logAreaLength, logAreaStart, oemId } = parseCcel(data("go-tdx-guest/ccel_table.dat"));
    expect([Number(logAreaLength), logAreaStart, oemId]).toEqual([
      data("go-tdx-guest/ccel_data.dat").length,
      0xbedb_f000n,
      "INTEL",
    ]);
  });

  test("replays to the registers in its quote", () => {
    const { rtmrs, events } = replayEventLog(parseEventLog(data("go-tdx-guest/ccel_data.dat")));
    const { rtMr0, rtMr1, rtMr2, rtMr3 } = quoted();
    expect(events.length).toBe(43);
    expect([rtmrs.get(0), rtmrs.get(1), rtmrs.get(2), rtmrs.get(3)]).toEqual([rtMr0, rtMr1, rtMr2, rtMr3]);
  });

  test("has the data that its digests are of, as far as they are of any", () => {
    const { events } = replayEventLog(parseEventLog(data("go-tdx-guest/ccel_data.dat")));
    const checks = events.map(({ digest }) => digest);
    expect(["matches", "differs", "unknown"].map((check) => checks.filter((one) => one === check).length)).toEqual([
      31, 0, 12,
    ]);
  });

  test("does not replay so with any digest changed, nor without any event", () => {
    const bytes = data("go-tdx-guest/ccel_data.dat");
    const log = parseEventLog(bytes);
    const { rtMr0, rtMr1, rtMr2 } = quoted();
    const same = (events: typeof log.events) => {
      const { rtmrs } = replayEventLog({ ...log, events });
      return [rtMr0, rtMr1, rtMr2].every((value, k) => Buffer.from(value).equals(rtmrs.get(k as 0)));
    };
    expect(same(log.events)).toBe(true);
    for (const [k, one] of log.events.entries()) {
      const digest = one.digest.map((byte, at) => (at === k % 48 ? byte ^ 1 : byte));
      expect(same(log.events.map((event, n) => (n === k ? { ...event, digest } : event)))).toBe(false);
      expect(same(log.events.filter((_event, n) => n !== k))).toBe(false);
    }
  });

  test("tells in words what was measured", () => {
    const texts = parseEventLog(data("go-tdx-guest/ccel_data.dat")).events.map(describeEvent);
    expect(texts.slice(0, 3)).toEqual([
      "TdxTable: 93bb96af-b9f2-4eb8-9462-e0ba74564236",
      "Fv(48DB5E17-707C-472D-91CD-1613E7EF51B0), 131072 bytes at 0xffe00000",
      "SecureBoot (8be4df61-93ca-11d2-aa0d-00e098032b8c), 1 bytes",
    ]);
    expect(texts[23]).toMatch(/^image of 743168 bytes: \\EFI\\BOOT\\grub-la/);
    expect(texts[41]).toBe("Exit Boot Services Invocation");
  });
});

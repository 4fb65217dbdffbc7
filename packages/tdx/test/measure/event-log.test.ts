import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventLogError, type EventLogErrorCode, parseEventLog } from "../../src/index.js";
import { area, EVENTS, event } from "./log.js";

function code(bytes: Uint8Array): EventLogErrorCode | "fine" {
  try {
    parseEventLog(bytes);
    return "fine";
  } catch (error) {
    if (error instanceof EventLogError) return error.code;
    throw error;
  }
}

/** Where the first event after the one about the log starts. */
const FIRST = 65;

const changed = (at: number, ...values: number[]): Uint8Array => {
  const bytes = area();
  bytes.set(values, at);
  return bytes;
};

describe("a log", () => {
  test("comes out of its bytes as it went in", () => {
    const some = fc.array(
      fc.record({
        mrIndex: fc.integer({ min: 1, max: 4 }),
        type: fc.integer({ min: 0, max: 0xffff_ffff }),
        digest: fc.uint8Array({ minLength: 48, maxLength: 48 }),
        data: fc.uint8Array({ maxLength: 60 }),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(some, fc.nat(50), (events, spare) => {
        const bytes = area(events, spare);
        const log = parseEventLog(bytes);
        expect(log.events.map(({ mrIndex, type, digest, data }) => ({ mrIndex, type, digest, data }))).toEqual(events);
        expect(log.size).toBe(bytes.length - spare);
      }),
      { numRuns: 50 },
    );
  });

  test("says where its events are", () => {
    const [first, second] = parseEventLog(area()).events;
    expect([first?.offset, first?.size, second?.offset]).toEqual([FIRST, 66 + 40, FIRST + 106]);
  });

  test("says in its first event what it is", () => {
    expect(parseEventLog(area()).specId).toEqual({
      platformClass: 0,
      versionMajor: 2,
      versionMinor: 0,
      errata: 0,
      uintnSize: 2,
      algorithms: [{ id: 0xc, digestSize: 48 }],
      vendorInfo: new Uint8Array(0),
    });
  });

  test.each([0xff, 0])("ends where only %s follows", (fill) => {
    const bytes = area(EVENTS, 0);
    const longer = new Uint8Array(bytes.length + 100).fill(fill);
    longer.set(bytes);
    expect(parseEventLog(longer).size).toBe(bytes.length);
  });

  test("may have more digests than SHA-384 an event", () => {
    const bytes = [
      ...[1, 0, 0, 0, 3, 0, 0, 0, ...new Uint8Array(20), 37, 0, 0, 0, ...new TextEncoder().encode("Spec ID Event03\0")],
      ...[0, 0, 0, 0, 0, 2, 0, 2, 2, 0, 0, 0, 0x0b, 0, 32, 0, 0x0c, 0, 48, 0, 0],
      ...[2, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0x0c, 0, ...new Uint8Array(48).fill(7), 0x0b, 0, ...new Uint8Array(32)],
      ...[1, 0, 0, 0, 9],
    ];
    const { events } = parseEventLog(Uint8Array.from(bytes));
    expect(events[0]).toMatchObject({
      mrIndex: 2,
      type: 4,
      digest: new Uint8Array(48).fill(7),
      data: Uint8Array.of(9),
    });
  });
});

describe("no log", () => {
  test("is one that is cut short within an event", () => {
    // Of none with register 0: its first bytes could be those that fill a log.
    const bytes = area(
      EVENTS.filter(({ mrIndex }) => mrIndex > 0),
      0,
    );
    const ends = [FIRST, ...parseEventLog(bytes).events.map(({ offset, size }) => offset + size)];
    for (let length = 0; length < bytes.length; length++)
      expect(code(bytes.subarray(0, length)), `${length}`).toBe(ends.includes(length) ? "fine" : "truncated");
  });

  test.each([
    ["whose first event has another type", changed(4, 4), "spec-id"],
    ["whose first event has a digest", changed(8, 1), "spec-id"],
    ["of another specification", changed(46, 0x32), "spec-id"],
    ["whose first event is too long", changed(28, 34), "spec-id"],
    ["whose first event is too short", changed(28, 32), "truncated"],
    ["with no algorithm", changed(56, 0), "algorithm"],
    ["with a million algorithms", changed(58, 0x10), "algorithm"],
    ["with an unknown algorithm", changed(60, 0x0e), "algorithm"],
    ["with SHA-384 of 32 bytes", changed(62, 32), "algorithm"],
    ["without SHA-384", changed(60, 0x0b, 0, 32), "algorithm"],
    ["of a fifth register", changed(FIRST, 5), "mr-index"],
    ["with an event without digest", changed(FIRST + 8, 0), "digests"],
    ["with an event of two digests", changed(FIRST + 8, 2), "digests"],
    ["with a digest of another algorithm", changed(FIRST + 12, 0x0b), "digests"],
    ["with an event that is longer than all", changed(FIRST + 65, 0xff), "truncated"],
    ["with something behind its end", changed(area().length - 1, 0), "after-end"],
  ] as const)("is one %s", (_name, bytes, expected) => {
    expect(code(bytes)).toBe(expected);
  });

  test("makes the parser throw anything but its error, whatever bytes are changed", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = area();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        code(bytes);
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void code(bytes)));
  });

  test("says what is wrong, where, and what would be accepted", () => {
    expect(() => parseEventLog(changed(FIRST, 5))).toThrow(
      "measurement register 5; 0 (MRTD) to 4 (RTMR3) exist (at byte 65 of the log)",
    );
    expect(() => parseEventLog(area([event(1, 4, "x")]).subarray(0, 100))).toThrow(
      "digest needs 48 bytes and 21 are left",
    );
  });
});

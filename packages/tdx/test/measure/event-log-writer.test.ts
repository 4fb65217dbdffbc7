import { createHash } from "node:crypto";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import {
  EventLogError,
  EventLogWriter,
  FieldError,
  type LogEvent,
  parseEventLog,
  Rtmrs,
  replayEventLog,
} from "../../src/index.js";
import { area, EVENTS, event, NOTHING } from "./log.js";

describe("RTMRs", () => {
  test("start as zeros and become SHA-384 of themselves and what they are extended with", () => {
    const rtmrs = new Rtmrs();
    const digest = new Uint8Array(48).fill(5);
    rtmrs.extend(2, digest);
    rtmrs.extend(2, digest);
    let value: Uint8Array = new Uint8Array(48);
    for (let k = 0; k < 2; k++) value = createHash("sha384").update(value).update(digest).digest();
    expect(bytesToHex(rtmrs.get(2))).toBe(Buffer.from(value).toString("hex"));
    expect(rtmrs.get(0)).toEqual(new Uint8Array(48));
  });

  test("take 48 bytes and nothing else, and are handed out as copies", () => {
    const rtmrs = new Rtmrs();
    expect(() => rtmrs.extend(0, new Uint8Array(47))).toThrow(FieldError);
    rtmrs.get(0).fill(1);
    expect(rtmrs.get(0)).toEqual(new Uint8Array(48));
  });

  test("are saved and restored", () => {
    const [one, other] = [new Rtmrs(), new Rtmrs()];
    one.extend(0, new Uint8Array(48));
    one.extend(3, new Uint8Array(48));
    other.restore(one.save());
    expect(other.save()).toEqual(one.save());
    expect(other.get(3)).toEqual(one.get(3));
    expect(() => other.restore(new Uint8Array(191))).toThrow("saved registers have 191 bytes");
    expect(other.get(3)).toEqual(one.get(3));
  });
});

describe("a log that is written", () => {
  test("extends the registers that it replays to", () => {
    const rtmrs = new Rtmrs();
    const bytes = new Uint8Array(1000);
    const log = EventLogWriter.create(bytes);
    for (const one of EVENTS) log.measure(one, (index, digest) => rtmrs.extend(index, digest));
    const replay = replayEventLog(parseEventLog(bytes));
    expect(replay.rtmrs.save()).toEqual(rtmrs.save());
    expect(replay.events.map(({ rtmr }) => rtmr)).toEqual([0, 2, null, 3]);
    expect(rtmrs.get(1)).toEqual(new Uint8Array(48));
    expect(log.size).toBe(parseEventLog(bytes).size);
  });

  test("is full to the last byte, and then neither extends nor writes", () => {
    const one = event(1, 0x0d, "x".repeat(100));
    const bytes = new Uint8Array(65 + 2 * 166 - 1);
    const log = EventLogWriter.create(bytes);
    const extended: number[] = [];
    const extend = (index: number) => void extended.push(index);
    log.measure(one, extend);
    const before = bytes.slice();
    const error = expect(() => log.measure(one, extend));
    error.toThrow(EventLogError);
    error.toThrow("an event of 166 bytes; there is room for 165");
    expect([extended, bytes]).toEqual([[0], before]);
    log.measure(event(1, 0x0d, "x".repeat(99)), extend);
    expect(parseEventLog(bytes).size).toBe(bytes.length);
  });

  test("writes nothing if the register could not be extended", () => {
    const bytes = area();
    const before = bytes.slice();
    const log = EventLogWriter.create(bytes);
    const empty = bytes.slice();
    const failure = new Error("TDX_OPERAND_INVALID");
    const fail = () => {
      throw failure;
    };
    expect(() => log.measure(EVENTS[0] as LogEvent, fail)).toThrow(failure);
    expect(bytes).toEqual(empty);
    for (const one of EVENTS) log.measure(one, NOTHING);
    expect(bytes).toEqual(before);
  });

  test.each([
    ["of a register that is none", { mrIndex: 5 }],
    ["of half a register", { mrIndex: 1.5 }],
    ["of MRTD, to be extended", { mrIndex: 0 }],
    ["with a digest of 47 bytes", { digest: new Uint8Array(47) }],
    ["of a type that is no number of 32 bits", { type: 2 ** 32 }],
  ])("takes no event %s", (_name, change) => {
    const bytes = area();
    const log = EventLogWriter.create(bytes);
    const before = bytes.slice();
    const extended: number[] = [];
    const wrong = { ...event(1, 0x0d, "x"), ...change };
    expect(() => log.measure(wrong, (index) => void extended.push(index))).toThrow(FieldError);
    expect([bytes, extended]).toEqual([before, []]);
  });

  test("goes on where it ended", () => {
    const bytes = area(EVENTS.slice(0, 2), 1000);
    const log = EventLogWriter.resume(bytes);
    for (const one of EVENTS.slice(2)) log.measure(one, NOTHING);
    expect(parseEventLog(bytes).events).toEqual(parseEventLog(area()).events);
  });

  test("needs room for its first event", () => {
    expect(() => EventLogWriter.create(new Uint8Array(64))).toThrow("a log needs 65 at least");
    const bytes = new Uint8Array(65);
    EventLogWriter.create(bytes);
    expect(parseEventLog(bytes).events).toEqual([]);
  });
});

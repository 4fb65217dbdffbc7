import { describe, expect, test } from "vitest";
import { boundsOf } from "../src/vcpu/registers/segment-cache.js";

/** A segment by its limit and attributes: bits 40-55 of a descriptor. */
const bounds = (limit: number, attributes: number, protectedMode = true) =>
  boundsOf({ selector: 8, baseLo: 0, baseHi: 0, limit, attributes }, protectedMode);
const none = { readable: false, writable: false };

describe("what a segment lets through outside 64-bit code (SDM vol. 3, 5.3 and table 3-1)", () => {
  test.each([
    ["read/write data", 0xfff, 0x93, { low: 0, high: 0xfff, readable: true, writable: true }],
    ["read-only data", 0xfff, 0x91, { low: 0, high: 0xfff, readable: true, writable: false }],
    [
      "expand-down, 16-bit: above the limit, to 64 KiB",
      0xfff,
      0x97,
      { low: 0x1000, high: 0xffff, readable: true, writable: true },
    ],
    ["expand-down, B = 1: to 4 GiB", 0xfff, 0x4097, { low: 0x1000, high: 0xffffffff, readable: true, writable: true }],
    ["expand-down without room", 0xffffffff, 0x4097, none],
    ["readable code", 0xfff, 0x9b, { low: 0, high: 0xfff, readable: true, writable: false }],
    ["execute-only code", 0xfff, 0x99, none],
    ["not present, as a null selector leaves it", 0, 0, none],
  ])("%s", (_, limit, attributes, want) => {
    expect(bounds(limit, attributes)).toMatchObject(want);
  });

  test("in real mode every segment can be read and written up to its limit, code too", () => {
    expect(bounds(0xffff, 0x9b, false)).toEqual({ low: 0, high: 0xffff, readable: true, writable: true });
  });
});

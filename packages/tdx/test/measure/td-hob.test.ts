import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  parseTdHob,
  TdHobError,
  type TdHobErrorCode,
  type TdvfSection,
  tdResources,
  writeTdHob,
} from "../../src/index.js";

const ADDRESS = 0x80_9000;
const RESOURCES = [
  { start: 0, length: 0x80_0000, accepted: false },
  { start: 0x80_0000, length: 0x6000, accepted: true },
];

function code(list: Uint8Array): TdHobErrorCode | "fine" {
  try {
    parseTdHob(ADDRESS, list);
    return "fine";
  } catch (error) {
    if (error instanceof TdHobError) return error.code;
    throw error;
  }
}

const changed = (at: number, value: number): Uint8Array => {
  const list = writeTdHob(ADDRESS, 0x2000, RESOURCES);
  list[at] = value;
  return list;
};

describe("a TD HOB", () => {
  test("is a PHIT, a descriptor a range, and an end, whose address the PHIT has", () => {
    const list = writeTdHob(ADDRESS, 0x2000, RESOURCES);
    const view = new DataView(list.buffer);
    const at = (offset: number) => [view.getUint16(offset, true), view.getUint16(offset + 2, true)];
    expect([at(0), at(56), at(104), at(152)]).toEqual([
      [1, 56],
      [3, 48],
      [3, 48],
      [0xffff, 8],
    ]);
    expect([view.getUint32(8, true), view.getBigUint64(48, true)]).toEqual([9, BigInt(ADDRESS + 160)]);
    expect([view.getUint32(80, true), view.getUint32(128, true), view.getUint32(84, true)]).toEqual([7, 0, 7]);
    expect(list.length).toBe(160);
  });

  test("comes out of its bytes as it went in", () => {
    const page = fc.integer({ min: 0, max: 2 ** 30 }).map((number) => number * 4096);
    const resources = fc.array(fc.record({ start: page, length: page, accepted: fc.boolean() }), { maxLength: 20 });
    fc.assert(
      fc.property(resources, (ranges) => {
        expect(parseTdHob(ADDRESS, writeTdHob(ADDRESS, 0x2000, ranges))).toEqual(ranges);
      }),
    );
  });

  test("fits its section, or is refused", () => {
    expect(writeTdHob(ADDRESS, 160, RESOURCES).length).toBe(160);
    expect(() => writeTdHob(ADDRESS, 159, RESOURCES)).toThrow(
      "a TD HOB of 2 ranges has 160 bytes; its section has room for 159",
    );
  });

  test.each([
    ["that does not start with a PHIT", changed(0, 3), "phit"],
    ["with a second PHIT", changed(56, 1), "phit"],
    ["with a PHIT of another length", changed(2, 64), "length"],
    ["with a descriptor of another length", changed(58, 56), "length"],
    ["with a HOB of no length", changed(58, 0), "length"],
    ["with a HOB of 9 bytes", changed(58, 9), "length"],
    ["with a HOB longer than all", changed(59, 0xf0), "truncated"],
    ["without an end", changed(152, 4), "truncated"],
    ["that ends elsewhere", changed(48, 0), "end"],
    ["of no bytes", new Uint8Array(0), "truncated"],
  ] as const)("is none %s", (_name, list, expected) => {
    expect(code(list)).toBe(expected);
  });

  test("throws nothing but its error, whatever bytes are changed", () => {
    fc.assert(
      fc.property(fc.nat(159), fc.nat(255), (at, value) => void code(changed(at, value))),
      { numRuns: 1000 },
    );
  });
});

describe("the memory of a TD", () => {
  const section = (type: TdvfSection["type"], memoryAddress: number, memoryDataSize: number): TdvfSection => ({
    type,
    memoryAddress,
    memoryDataSize,
    dataOffset: 0,
    rawDataSize: 0,
    attributes: 0,
  });

  test("is accepted where sections were added, and not elsewhere", () => {
    const sections = [
      section("TempMem", 0x5000, 0x1000),
      section("TD_HOB", 0x3000, 0x2000),
      section("BFV", 0x7000, 0x1000),
      section("PermMem", 0x6000, 0x1000),
    ];
    expect(tdResources([{ start: 0, length: 0x10000 }], sections)).toEqual([
      { start: 0, length: 0x3000, accepted: false },
      { start: 0x3000, length: 0x2000, accepted: true },
      { start: 0x5000, length: 0x1000, accepted: true },
      { start: 0x6000, length: 0xa000, accepted: false },
    ]);
  });

  test("covers every byte of the RAM once, in order, whatever the sections", () => {
    const range = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 10 }));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 4 }), (pairs) => {
        const sections = pairs.map(([start, pages]) => section("TempMem", start * 4096, pages * 4096));
        const ram = [
          { start: 0x20_000, length: 0x8000 },
          { start: 0, length: 0x10_000 },
        ];
        const resources = tdResources(ram, sections);
        const pages = resources.flatMap(({ start, length, accepted }) =>
          Array.from({ length: length / 4096 }, (_, k) => [start / 4096 + k, accepted]),
        );
        const expected = [...Array(16).keys(), ...Array.from({ length: 8 }, (_, k) => 32 + k)].map((page) => [
          page,
          pairs.some(([start, count]) => page >= start && page < start + count),
        ]);
        expect(pages).toEqual(expected);
      }),
    );
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseTdvf, TdvfError, type TdvfErrorCode } from "../../src/index.js";
import { firmwareImage, SECTIONS, type SectionSpec } from "./firmware-image.js";

function code(image: Uint8Array): TdvfErrorCode | "fine" {
  try {
    parseTdvf(image);
    return "fine";
  } catch (error) {
    if (error instanceof TdvfError) return error.code;
    throw error;
  }
}

const withSections = (...more: SectionSpec[]) => firmwareImage({ sections: [...SECTIONS, ...more] });

describe("metadata", () => {
  test.each(["table", "pointer"] as const)("is found by the %s", (place) => {
    const { sections } = parseTdvf(firmwareImage({ sections: SECTIONS, place }));
    expect(sections.map(({ type }) => type)).toEqual(["BFV", "CFV", "TempMem", "TD_HOB"]);
    expect(sections[0]).toEqual({
      type: "BFV",
      dataOffset: 0x1000,
      rawDataSize: 0x3000,
      memoryAddress: 0xffff_d000,
      memoryDataSize: 0x3000,
      attributes: 1,
    });
  });

  test("has sections of nine types", () => {
    const more: SectionSpec[] = [
      { type: 4, gpa: 2 ** 32, size: 2 ** 40, attributes: 2 },
      { type: 5, gpa: 0x100_0000, size: 0x10_0000, attributes: 0 },
      { type: 6, offset: 0x100, raw: 0x10, gpa: 0x200_0000, size: 0x1000 },
      { type: 7, offset: 0x2000, raw: 0x20 },
      { type: 8, offset: 0x2020, raw: 0x20 },
    ];
    const { sections } = parseTdvf(withSections(...more));
    expect(sections.slice(4).map(({ type }) => type)).toEqual([
      "PermMem",
      "Payload",
      "PayloadParam",
      "TdInfo",
      "TdParams",
    ]);
  });
});

describe("an image is refused", () => {
  test.each([
    ["without metadata", "no-metadata", (image: Uint8Array) => image.fill(0)],
    [
      "with a footer that says 17 bytes",
      "table",
      (_i: Uint8Array, v: DataView) => v.setUint16(v.byteLength - 50, 17, true),
    ],
    [
      "with a table longer than it",
      "table",
      (_i: Uint8Array, v: DataView) => v.setUint16(v.byteLength - 50, 0xffff, true),
    ],
    ["with an entry of no bytes", "table", (_i: Uint8Array, v: DataView) => v.setUint16(v.byteLength - 68, 0, true)],
    [
      "with an entry longer than the table",
      "table",
      (_i: Uint8Array, v: DataView) => v.setUint16(v.byteLength - 68, 49, true),
    ],
    [
      "whose metadata would start before it",
      "metadata-offset",
      (_i: Uint8Array, v: DataView) => v.setUint32(v.byteLength - 98, 0x4001, true),
    ],
    [
      "whose metadata would start at its end",
      "metadata-offset",
      (_i: Uint8Array, v: DataView) => v.setUint32(v.byteLength - 98, 15, true),
    ],
    [
      "whose sections go beyond its end",
      "signature",
      (_i: Uint8Array, v: DataView) => v.setUint32(v.byteLength - 98, 16, true),
    ],
    ["of version 2", "version", (_i: Uint8Array, v: DataView, m: number) => v.setUint32(m + 8, 2, true)],
    ["without sections", "section-count", (_i: Uint8Array, v: DataView, m: number) => v.setUint32(m + 12, 0, true)],
    [
      "with too many sections",
      "section-count",
      (_i: Uint8Array, v: DataView, m: number) => v.setUint32(m + 12, 1025, true),
    ],
    [
      "with a length that is not its sections'",
      "length",
      (_i: Uint8Array, v: DataView, m: number) => v.setUint32(m + 4, 17, true),
    ],
  ] as const)("%s", (_name, expected, patch) => {
    expect(code(firmwareImage({ sections: SECTIONS, patch }))).toBe(expected);
  });

  test("whose sections are cut off by its end", () => {
    const image = firmwareImage({ sections: SECTIONS, place: "pointer" });
    const end = new DataView(image.buffer).getUint32(image.length - 32, true) + 100;
    const cut = image.slice(0, end + 32);
    new DataView(cut.buffer).setUint32(end, end - 100, true);
    expect(code(cut)).toBe("metadata-offset");
  });

  test.each([
    ["of an unknown type", "section-type", { type: 9 }],
    ["with bytes beyond the image", "file-range", { type: 1, offset: 0x3001, raw: 0x1000, gpa: 0, size: 0x1000 }],
    ["with an offset of no bytes", "file-range", { type: 3, offset: 1, gpa: 0, size: 0x1000 }],
    ["with memory not at a page", "alignment", { type: 3, gpa: 0x800, size: 0x1000 }],
    ["with half a page of memory", "alignment", { type: 3, gpa: 0, size: 0x800 }],
    ["with memory beyond 2^52", "memory-range", { type: 3, gpa: 1n << 52n, size: 0x1000 }],
    ["with memory that ends beyond 2^52", "memory-range", { type: 3, gpa: 0x1000, size: (1n << 64n) - 0x1000n }],
    ["with more bytes than memory", "memory-range", { type: 1, raw: 0x2000, gpa: 0, size: 0x1000 }],
    ["of code without bytes", "content", { type: 0, gpa: 0, size: 0x1000 }],
    ["of variables without bytes", "content", { type: 1, gpa: 0, size: 0x1000 }],
    ["of temporary memory with bytes", "content", { type: 3, raw: 0x1000, gpa: 0, size: 0x1000 }],
    ["of permanent memory with bytes", "content", { type: 4, raw: 0x1000, gpa: 0, size: 0x1000 }],
    ["that describes and has memory", "memory-range", { type: 7, offset: 0x2000, raw: 16, gpa: 0, size: 0x1000 }],
    ["that describes outside of the code", "file-range", { type: 7, offset: 0xff0, raw: 32 }],
    ["that describes with attributes", "attributes", { type: 8, offset: 0x2000, raw: 16, attributes: 1 }],
    ["that is measured and not added", "attributes", { type: 4, gpa: 0, size: 0x1000, attributes: 3 }],
    ["with unknown attributes", "attributes", { type: 3, gpa: 0, size: 0x1000, attributes: 4 }],
    ["that is not added but has bytes", "attributes", { type: 1, raw: 0x1000, gpa: 0, size: 0x1000, attributes: 2 }],
    ["in the memory of another", "overlap", { type: 3, gpa: 0x81_1000, size: 0x1000 }],
    ["around the memory of another", "overlap", { type: 4, gpa: 0x80_0000, size: 0x10_0000, attributes: 2 }],
    ["that is a second list of memory", "duplicate", { type: 2, gpa: 0, size: 0x1000 }],
    ["of parameters for no payload", "missing", { type: 6, gpa: 0, size: 0x1000 }],
  ] as const)("with a section %s", (_name, expected, section) => {
    expect(code(withSections(section))).toBe(expected);
  });

  test("without code", () => {
    expect(code(firmwareImage({ sections: SECTIONS.slice(1) }))).toBe("missing");
  });

  test.each([
    [0, "size"],
    [49, "size"],
    [50, "no-metadata"],
  ])("of %s bytes", (length, expected) => {
    expect(code(new Uint8Array(length))).toBe(expected);
  });

  test("with words that say what is wrong, where, and what would be accepted", () => {
    const image = withSections({ type: 3, gpa: 0x1800, size: 0x1000 });
    expect(() => parseTdvf(image)).toThrow(
      "section 4 (TempMem): memory 0x1800 + 0x1000; both have to be multiples of 4096",
    );
  });

  test("with nothing but its error, whatever bytes are changed", () => {
    const whole = firmwareImage({ sections: SECTIONS });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0x300), fc.nat(255)), { minLength: 1, maxLength: 6 }), (changes) => {
        const image = whole.slice();
        for (const [fromEnd, value] of changes) image[image.length - 1 - fromEnd] = value;
        code(image);
      }),
      { numRuns: 300 },
    );
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CcelError, type CcelTable, parseCcel, writeCcel } from "../../src/index.js";

const TABLE: CcelTable = {
  logAreaLength: 0x1_0000n,
  logAreaStart: 0x7fff_0000n,
  oemId: "VM",
  oemTableId: "TD",
  oemRevision: 1,
};

/** With the checksum that goes with the change. */
function changed(at: number, value: number): Uint8Array {
  const table = writeCcel(TABLE);
  table[9] = ((table[9] ?? 0) + (table[at] ?? 0) - value) & 0xff;
  table[at] = value;
  return table;
}

describe("a CCEL table", () => {
  test("comes out of its bytes as it went in", () => {
    expect(parseCcel(writeCcel(TABLE))).toEqual(TABLE);
  });

  test("is laid out as ACPI has it", () => {
    const table = writeCcel(TABLE);
    const view = new DataView(table.buffer);
    expect([table.length, String.fromCharCode(...table.subarray(0, 4)), view.getUint32(4, true)]).toEqual([
      56,
      "CCEL",
      56,
    ]);
    expect([table[36], table[37], view.getBigUint64(40, true), view.getBigUint64(48, true)]).toEqual([
      2,
      0,
      0x1_0000n,
      0x7fff_0000n,
    ]);
    expect(table.reduce((sum, byte) => sum + byte, 0) % 256).toBe(0);
  });

  test.each([
    ["of 55 bytes", writeCcel(TABLE).subarray(0, 55), "length"],
    ["of 57 bytes", Uint8Array.of(...writeCcel(TABLE), 0), "length"],
    ["that says it has 57", changed(4, 57), "length"],
    ["of another name", changed(0, 0x44), "signature"],
    ["for another kind of guest", changed(36, 1), "cc-type"],
    ["with a log of no bytes", writeCcel({ ...TABLE, logAreaLength: 0n }), "log-area"],
    ["with a log that wraps", writeCcel({ ...TABLE, logAreaStart: (1n << 64n) - 1n }), "log-area"],
  ])("is none %s", (_name, table, code) => {
    expect(() => parseCcel(table)).toThrow(CcelError);
    expect(() => parseCcel(table)).toThrow(expect.objectContaining({ code }));
  });

  test("is none with any bit flipped", () => {
    fc.assert(
      fc.property(fc.nat(56 * 8 - 1), (bit) => {
        const table = writeCcel(TABLE);
        table[bit >> 3] = (table[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => parseCcel(table)).toThrow(CcelError);
      }),
    );
  });
});

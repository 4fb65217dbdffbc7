import { describe, expect, test } from "vitest";
import { constructTdmrs, type Range, tdmrInfoSize, writeTdmrInfo } from "../../src/kvm/tdmrs.js";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const limits = { maxTdmrs: 64, maxReservedPerTdmr: 16, pamtEntrySizes: [16, 16, 16] as const };
/** PAMT of one GiB: 4 MiB for small pages, 8 KiB for large ones, a page for the GiB. */
const PAMT = 4 * MIB + 8192 + 4096;

function construct(memory: readonly Range[], pamtAt = 0x1000_0000, some: Partial<typeof limits> = {}) {
  let next = pamtAt;
  return constructTdmrs(memory, { ...limits, ...some }, (size) => {
    const base = next;
    next += size;
    return base;
  });
}

describe("TDMRs", () => {
  test("whole GiB around the memory, and what is no memory is reserved", () => {
    const [tdmr, ...others] = construct([{ base: MIB, size: 511 * MIB }]);
    expect(others).toEqual([]);
    expect(tdmr).toMatchObject({ base: 0, size: GIB });
    expect(tdmr?.reserved).toEqual([
      { base: 0, size: MIB },
      { base: 0x1000_0000, size: 4 * MIB },
      { base: 0x1000_0000 + 4 * MIB, size: 8192 },
      { base: 0x1000_0000 + 4 * MIB + 8192, size: 4096 },
      { base: 512 * MIB, size: 512 * MIB },
    ]);
  });

  test("ranges that share a GiB share a TDMR", () => {
    const tdmrs = construct([
      { base: MIB, size: MIB },
      { base: 4 * MIB, size: 2 * GIB },
      { base: 5 * GIB, size: GIB },
    ]);
    expect(tdmrs.map(({ base, size }) => [base / GIB, size / GIB])).toEqual([
      [0, 1],
      [1, 2],
      [5, 1],
    ]);
  });

  test("a PAMT is reserved where it is, and nowhere else", () => {
    const tdmrs = construct(
      [
        { base: 0, size: GIB },
        { base: 4 * GIB, size: GIB },
      ],
      4 * GIB,
    );
    expect(tdmrs[0]?.reserved).toEqual([]);
    expect(tdmrs[1]?.reserved.reduce((sum, { size }) => sum + size, 0)).toBe(2 * PAMT);
  });

  test.each<[string, Partial<typeof limits>]>([
    ["TDMRs", { maxTdmrs: 1 }],
    ["reserved areas", { maxReservedPerTdmr: 2 }],
  ])("too many %s: ENOSPC", (_what, some) => {
    const memory = [
      { base: MIB, size: MIB },
      { base: 4 * GIB, size: GIB },
    ];
    expect(() => construct(memory, 0x1000_0000, some)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
  });

  test("no memory for a PAMT: ENOMEM", () => {
    expect(() => constructTdmrs([{ base: 0, size: GIB }], limits, () => null)).toThrow(
      expect.objectContaining({ code: "ENOMEM" }),
    );
  });

  test("TDMR_INFO has the PAMTs from large to small, and offsets of what is reserved", () => {
    expect(tdmrInfoSize(16)).toBe(512);
    const [tdmr] = construct([{ base: 4 * GIB + MIB, size: GIB - MIB }]);
    const view = new DataView(new ArrayBuffer(512));
    writeTdmrInfo(view, 0, tdmr as NonNullable<typeof tdmr>);
    const words = Array.from({ length: 10 }, (_, k) => Number(view.getBigUint64(8 * k, true)));
    const at = 0x1000_0000;
    expect(words).toEqual([4 * GIB, GIB, at + 4 * MIB + 8192, 4096, at + 4 * MIB, 8192, at, 4 * MIB, 0, MIB]);
  });
});

import { describe, expect, it } from "vitest";
import { tdImage } from "../../src/boot/image.js";
import { LOADER_ACCEPT, LOADER_BASE, LOADER_TABLES } from "../../src/boot/layout.js";
import { tdLoader } from "../../src/boot/loader.js";

const MIB = 2 ** 20;
const desc = { accept: [], entry: 0x100_0000, argument: 0x7000, mailbox: 0x1f000 };
const code = (error: unknown): unknown => (error as { code?: unknown }).code;
const refusal = (work: () => unknown): unknown => {
  try {
    work();
    return null;
  } catch (error) {
    return code(error);
  }
};

describe("the loader", () => {
  it("ends with a jump at the address where every vCPU starts", () => {
    const image = tdLoader(desc);
    expect(image.length).toBe(2 ** 32 - LOADER_BASE);
    expect(image[image.length - 16]).toBe(0xe9);
    const back = new DataView(image.buffer).getInt32(image.length - 15, true);
    // From behind the jump to the first byte of the last page.
    expect(image.length - 11 + back).toBe(image.length - 4096);
  });

  it("has page tables that map every address below 4 GiB to itself", () => {
    const view = new DataView(tdLoader(desc).buffer);
    const at = (address: number): number => {
      const pdpt = view.getUint32(LOADER_TABLES - LOADER_BASE, true) & ~0xfff;
      const pd = view.getUint32((pdpt >>> 0) - LOADER_BASE + 8 * Math.floor(address / 2 ** 30), true) & ~0xfff;
      const leaf = view.getUint32((pd >>> 0) - LOADER_BASE + 8 * (Math.floor(address / 2 ** 21) % 512), true);
      return (leaf & ~0xfff) >>> 0;
    };
    for (const address of [0, 2 * MIB, 1024 * MIB, 3072 * MIB + 6 * MIB, 4094 * MIB]) expect(at(address)).toBe(address);
  });

  it("refuses addresses that it cannot go to, and ranges that are no pages", () => {
    expect(refusal(() => tdLoader({ ...desc, entry: 2 ** 32 }))).toBe("range");
    expect(refusal(() => tdLoader({ ...desc, mailbox: -4096 }))).toBe("range");
    expect(refusal(() => tdLoader({ ...desc, accept: [{ start: 0, end: 100 }] }))).toBe("range");
    expect(refusal(() => tdLoader({ ...desc, accept: [{ start: 4096, end: 4096 }] }))).toBe("range");
    const many = Array.from({ length: 256 }, (_, k) => ({ start: 8192 * k, end: 8192 * k + 4096 }));
    expect(refusal(() => tdLoader({ ...desc, accept: many }))).toBe("too-many");
  });
});

describe("the image of a TD", () => {
  const image = (chunks: { gpa: number; bytes: Uint8Array }[]) => tdImage({ ...desc, ram: 16 * MIB, chunks });
  const accepted = (bytes: Uint8Array): [number, number][] => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const ranges: [number, number][] = [];
    for (let at = LOADER_ACCEPT - LOADER_BASE; view.getUint32(at + 8, true) !== 0; at += 16)
      ranges.push([view.getUint32(at, true), view.getUint32(at + 8, true)]);
    return ranges;
  };

  it("has whole pages, ascending, and accepts what is left of memory", () => {
    const { runs } = image([
      { gpa: 2 * MIB, bytes: new Uint8Array(4097).fill(2) },
      { gpa: 0x7000, bytes: new Uint8Array(10).fill(1) },
      { gpa: 0x7ff0, bytes: new Uint8Array(32).fill(3) },
    ]);
    expect(runs.map(({ gpa, bytes }) => [gpa, bytes.length])).toEqual([
      [0x7000, 4096],
      [0x8000, 4096],
      [0x1f000, 4096],
      [2 * MIB, 4096],
      [2 * MIB + 4096, 4096],
      [LOADER_BASE, 0x8000],
    ]);
    expect([runs[0]?.bytes[9], runs[0]?.bytes[10], runs[0]?.bytes[0xff0], runs[1]?.bytes[15]]).toEqual([1, 0, 3, 3]);
    expect([runs[3]?.bytes[4095], runs[4]?.bytes[0], runs[4]?.bytes[1]]).toEqual([2, 2, 0]);
    expect(accepted(runs[5]?.bytes as Uint8Array)).toEqual([
      [0, 0x7000],
      [0x9000, 0x1f000],
      [0x20000, 2 * MIB],
      [2 * MIB + 8192, 16 * MIB],
    ]);
  });

  it("copies no whole page, however large a part is", () => {
    const bytes = new Uint8Array(3 * 4096 + 10).fill(7);
    const { runs } = image([{ gpa: 2 * MIB, bytes }]);
    const whole = runs.find(({ gpa }) => gpa === 2 * MIB);
    expect([whole?.bytes.length, whole?.bytes.buffer === bytes.buffer]).toEqual([3 * 4096, true]);
  });

  it("refuses parts that overlap and parts outside of memory", () => {
    const bytes = new Uint8Array(16);
    expect(
      refusal(() =>
        image([
          { gpa: 0x1000, bytes },
          { gpa: 0x100f, bytes },
        ]),
      ),
    ).toBe("overlap");
    expect(refusal(() => image([{ gpa: desc.mailbox + 8, bytes }]))).toBe("overlap");
    expect(refusal(() => image([{ gpa: 16 * MIB - 8, bytes }]))).toBe("range");
    expect(refusal(() => tdImage({ ...desc, ram: 100, chunks: [] }))).toBe("range");
  });
});

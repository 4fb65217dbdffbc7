import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DirtyLog, forEachRun } from "../src/dirty-log.js";
import { Access, Licence, MemslotError, type Mmu, Status } from "../src/index.js";
import { entriesOf, longMode, map4, newMmu, P, PAGE, RW, translate } from "./fixture.js";

const FLAT = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };

function newLoggingMmu(pages: number, gpa = 0): Mmu {
  const mmu = newMmu(0, { arenaPages: pages });
  mmu.setMemslot({ slot: 0, gpa, size: pages * PAGE, dirtyLog: true });
  return mmu;
}

/** The page numbers set in a bitmap. */
function pagesOf(bitmap: Uint32Array): number[] {
  const pages: number[] = [];
  forEachRun(bitmap, (first, count) => {
    for (let page = first; page < first + count; page++) pages.push(page);
  });
  return pages;
}

describe("dirty logging (KVM_GET_DIRTY_LOG)", () => {
  test("the log holds the pages written by the guest and by the host, not those read", () => {
    const mmu = newLoggingMmu(70);
    mmu.translate(FLAT, 3 * PAGE, 0, Access.Write);
    mmu.translate(FLAT, 5 * PAGE, 0, 0);
    mmu.write(40 * PAGE - 1, new Uint8Array(2));
    mmu.writeU8(69 * PAGE, 1);
    mmu.readU32(7 * PAGE);
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual([3, 39, 40, 69]);
  });

  test("bit 0 is the first page of the slot, wherever the slot is", () => {
    const mmu = newLoggingMmu(8, 2 ** 33);
    mmu.writeU8(2 ** 33 + 2 * PAGE, 1);
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual([2]);
  });

  test("a clean page gives no write licence, a dirty page does: a page costs one miss per log period", () => {
    const mmu = newLoggingMmu(8);
    mmu.translate(FLAT, PAGE, 0, 0);
    expect(mmu.translation.licence).toBe(Licence.Read | Licence.Fetch);
    mmu.translate(FLAT, PAGE, 0, Access.Write);
    expect(mmu.translation.licence).toBe(Licence.All);
    mmu.translate(FLAT, PAGE, 0, 0);
    expect(mmu.translation.licence).toBe(Licence.All);
  });

  test("reading the log starts it again: the pages are clean, and runs of them are invalidated", () => {
    const mmu = newLoggingMmu(70, 16 * PAGE);
    for (const page of [1, 2, 3, 31, 32, 64, 69]) mmu.writeU8((16 + page) * PAGE, 1);
    const ranges: [number, number][] = [];
    mmu.onInvalidate((gfn, pages) => ranges.push([gfn, pages]));
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual([1, 2, 3, 31, 32, 64, 69]);
    expect(ranges).toEqual([
      [17, 3],
      [47, 2],
      [80, 1],
      [85, 1],
    ]);
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual([]);
    mmu.translate(FLAT, 17 * PAGE, 0, 0);
    expect(mmu.translation.licence).toBe(Licence.Read | Licence.Fetch);
  });

  test("A and D bits set by the walk are writes to the page tables' pages", () => {
    const mmu = newLoggingMmu(16);
    const linear = 0x1234_5000n;
    map4(mmu, linear, 0x9000n | P | RW);
    mmu.getDirtyLog(0);
    expect(translate(mmu, longMode(), linear, 0)).toBe(Status.Ok);
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual(entriesOf(linear).map((gpa) => Math.floor(gpa / PAGE)));
    expect(translate(mmu, longMode(), linear, 0)).toBe(Status.Ok);
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual([]);
  });

  test("logging can be switched on and off on a live slot; each switch invalidates the slot", () => {
    const mmu = newMmu(8);
    const ranges: [number, number][] = [];
    mmu.onInvalidate((gfn, pages) => ranges.push([gfn, pages]));
    mmu.writeU32(PAGE, 0x1234);
    mmu.setMemslot({ slot: 0, gpa: 0, size: 8 * PAGE, dirtyLog: true });
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual([]);
    expect(mmu.readU32(PAGE)).toBe(0x1234);
    mmu.setMemslot({ slot: 0, gpa: 0, size: 8 * PAGE });
    expect(() => mmu.getDirtyLog(0)).toThrow(MemslotError);
    expect(ranges).toEqual([
      [0, 8],
      [0, 8],
    ]);
  });

  test("setting the same flags again keeps the log", () => {
    const mmu = newLoggingMmu(8);
    mmu.writeU8(PAGE, 1);
    mmu.setMemslot({ slot: 0, gpa: 0, size: 8 * PAGE, dirtyLog: true });
    expect(pagesOf(mmu.getDirtyLog(0))).toEqual([1]);
  });

  test("there is no log of a slot that does not exist or does not log", () => {
    const mmu = newMmu(8);
    expect(() => mmu.getDirtyLog(1)).toThrow("no memslot 1; there are [0]");
    expect(() => mmu.getDirtyLog(0)).toThrow("was not set with dirtyLog");
  });
});

test("forEachRun visits exactly the marked pages, in maximal ascending runs", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 159 }), { maxLength: 160 }), (marked) => {
      const log = new DirtyLog(160);
      for (const page of marked) log.mark(page);
      const found: number[] = [];
      let end = -1;
      forEachRun(log.drain(), (first, count) => {
        expect(count).toBeGreaterThan(0);
        expect(first).toBeGreaterThan(end);
        end = first + count;
        for (let page = first; page < end; page++) found.push(page);
      });
      expect(found).toEqual([...marked].sort((a, b) => a - b));
      expect(marked.some((page) => log.has(page))).toBe(false);
    }),
  );
});

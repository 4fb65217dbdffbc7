import { expect, test } from "vitest";
import { type MemoryImage, MemslotError } from "../src/index.js";
import { newMmu, PAGE } from "./fixture.js";

test("an image holds the memslots and every touched page, ascending; restored elsewhere it is the same memory", () => {
  const mmu = newMmu(0, { arenaPages: 16 });
  mmu.setMemslot({ slot: 4, gpa: 8 * PAGE, size: 4 * PAGE, readonly: true });
  mmu.setMemslot({ slot: 0, gpa: 0, size: 8 * PAGE, dirtyLog: true });
  mmu.writeU32(9 * PAGE, 0x11111111);
  mmu.writeU32(6 * PAGE, 0x22222222);
  mmu.frameOf(3);
  expect([...mmu.save().pages].map(({ gfn }) => gfn)).toEqual([3, 6, 9]);

  const copy = newMmu(3, { arenaPages: 16, owner: 1 });
  copy.writeU32(0, 0x99999999);
  copy.restore(mmu.save());
  expect(copy.memslots).toEqual(mmu.memslots);
  expect(copy.touchedFrames).toBe(3);
  const [before, after] = [new Uint8Array(12 * PAGE), new Uint8Array(12 * PAGE)];
  mmu.read(0, before);
  copy.read(0, after);
  expect(Buffer.compare(before, after)).toBe(0);
  expect(copy.readU32(9 * PAGE)).toBe(0x11111111);
});

test("restoring invalidates the old and the new ranges", () => {
  const mmu = newMmu(2, { arenaPages: 16 });
  const image: MemoryImage = { memslots: [{ slot: 1, gpa: 4 * PAGE, size: 3 * PAGE }], pages: [] };
  const ranges: [number, number][] = [];
  mmu.onInvalidate((gfn, pages) => ranges.push([gfn, pages]));
  mmu.restore(image);
  expect(ranges).toEqual([
    [0, 2],
    [4, 3],
  ]);
});

test("a page outside the image's memslots or of another size is refused", () => {
  const memslots = [{ slot: 0, gpa: 0, size: 4 * PAGE }];
  const mmu = newMmu(4);
  expect(() => mmu.restore({ memslots, pages: [{ gfn: 4, bytes: new Uint8Array(PAGE) }] })).toThrow(MemslotError);
  expect(() => mmu.restore({ memslots, pages: [{ gfn: 0, bytes: new Uint8Array(100) }] })).toThrow(
    "page 0 of 100 bytes",
  );
});

test("pages that are iterated after the memslots changed are refused instead of being wrong", () => {
  const mmu = newMmu(4);
  mmu.writeU8(0, 1);
  mmu.writeU8(PAGE, 1);
  const iterator = mmu.save().pages[Symbol.iterator]();
  expect(iterator.next().done).toBe(false);
  mmu.setMemslot({ slot: 0, gpa: 0, size: 0 });
  expect(() => iterator.next()).toThrow("changed while their pages were being saved");
});

test("an image of the same Mmu is refused before anything changes", () => {
  const mmu = newMmu(4);
  mmu.writeU8(0, 1);
  expect(() => mmu.restore(mmu.save())).toThrow(MemslotError);
  expect(mmu.readU8(0)).toBe(1);
});

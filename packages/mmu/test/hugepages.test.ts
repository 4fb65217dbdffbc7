import { expect, test } from "vitest";
import { FrameArena } from "../src/arena.js";
import { Access, Licence, Mmu, Status } from "../src/index.js";
import { Ept } from "../src/tdp/ept.js";
import { newMemory, PAGE } from "./fixture.js";

const FLAT = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };
const RUN = 512;

/** A slot of `pages` at guest frame `gfn`, over an arena of `frames` whose first run starts at frame 512. */
function guest(gfn: number, pages: number, frames = 4 * RUN) {
  const mmu = new Mmu({ memory: newMemory(frames + 1), arenaStart: PAGE, arenaEnd: (frames + 1) * PAGE });
  mmu.setMemslot({ slot: 0, gpa: gfn * PAGE, size: pages * PAGE, hugepages: true });
  const root = mmu.vm.target.rootOf(mmu.vm.views.at(0));
  const at = (page: number, access = 0): number => mmu.translate(FLAT, page * PAGE, 0, access);
  const isLarge = (page: number): boolean => ((mmu.vm.target.pages.u32[root.find(page)] ?? 0) & Ept.Large) !== 0;
  return { mmu, at, isLarge };
}

test("a run is 512 zeroed frames in a row; what it skips can still be had one by one", () => {
  const arena = new FrameArena(newMemory(3 * RUN), PAGE, (2 * RUN + 256) * PAGE);
  arena.reserve(arena.capacity);
  const single = arena.take();
  expect(arena.takeRun()).toBe(RUN);
  expect(arena.takeRun()).toBeNull();
  expect(arena.taken).toBe(RUN + 1);
  const rest = new Set([single]);
  while (arena.taken < arena.capacity) rest.add(arena.take());
  expect(rest.size).toBe(arena.capacity - RUN);
  expect([...rest].every((pfn) => pfn > 0 && (pfn < RUN || pfn >= 2 * RUN))).toBe(true);
  expect(() => arena.takeRun()).toThrow("reserved frames are taken");
});

test("a page that is touched brings the 2 MiB around it, mapped by one entry", () => {
  const { mmu, at, isLarge } = guest(RUN, 2 * RUN);
  expect(at(RUN + 7, Access.Write)).toBe(Status.Ok);
  expect(mmu.touchedFrames).toBe(RUN);
  expect(isLarge(RUN + 7)).toBe(true);
  for (const page of [RUN, 2 * RUN - 1]) {
    expect(at(page, Access.Write)).toBe(Status.Ok);
    expect(mmu.translation).toMatchObject({ gfn: page, host: mmu.frameOf(page), licence: Licence.All });
  }
  expect(mmu.touchedFrames).toBe(RUN);
});

test("page tables can be in a large page", () => {
  const { mmu, at, isLarge } = guest(0, RUN);
  mmu.writeU32(0x1000, 0x2003);
  at(1);
  expect(isLarge(1)).toBe(true);
  mmu.writeU32(0x2000, 0x83);
  const pae = { ...FLAT, cr0: 0x80000001, cr3Lo: 0x1000, cr4: 0x20, efer: 0x500 };
  mmu.writeU32(0x3000, 0x83);
  mmu.writeU32(0x2000, 0x3003);
  expect(mmu.translate(pae, 5 * PAGE, 0, Access.Write)).toBe(Status.Ok);
  expect(mmu.translation.host).toBe(mmu.frameOf(5));
  expect(mmu.readU32(0x3000)).toBe(0xe3);
});

test("what of a slot is not a whole 2 MiB page comes page by page", () => {
  const { mmu, at, isLarge } = guest(RUN - 1, RUN);
  for (const page of [RUN - 1, RUN]) {
    expect(at(page)).toBe(Status.Ok);
    expect(isLarge(page)).toBe(false);
  }
  expect(mmu.touchedFrames).toBe(2);
});

test("without a run left, memory comes page by page too", () => {
  const { mmu, at, isLarge } = guest(0, RUN, RUN);
  expect(at(3)).toBe(Status.Ok);
  expect([isLarge(3), mmu.touchedFrames]).toEqual([false, 1]);
});

test("to watch one page, or to make it another one, splits the page around it", () => {
  for (const change of [(mmu: Mmu) => mmu.withhold(9, Licence.Write), (mmu: Mmu) => mmu.remap(9, 8)]) {
    const { mmu, at, isLarge } = guest(0, RUN);
    at(3);
    const stale: number[] = [];
    mmu.onInvalidate((gfn) => stale.push(gfn));
    change(mmu);
    expect(stale).toEqual([9]);
    expect(at(3, Access.Write)).toBe(Status.Ok);
    expect(mmu.translation.host).toBe(mmu.frameOf(3));
    expect(isLarge(3)).toBe(false);
    at(9);
    expect([mmu.translation.gfn, mmu.translation.licence & Licence.Write]).not.toEqual([9, Licence.Write]);
  }
});

test("a page that was split stays so, and works, when nobody watches it any more", () => {
  const { mmu, at, isLarge } = guest(0, RUN);
  mmu.withhold(9, Licence.Write);
  at(3);
  mmu.release(9, Licence.Write);
  expect(at(9, Access.Write)).toBe(Status.Ok);
  expect([isLarge(9), isLarge(3)]).toEqual([false, false]);
});

test("another view of the same memory keeps its large pages", () => {
  const { mmu, at, isLarge } = guest(0, RUN);
  mmu.withhold(9, Licence.Read, 1);
  at(9);
  expect(isLarge(9)).toBe(true);
  expect(mmu.translate({ ...FLAT, view: 1 }, 9 * PAGE, 0, 0)).toBe(Status.Exit);
});

test("dirty logging is by 4 KiB", () => {
  const { mmu, at, isLarge } = guest(0, RUN);
  at(3, Access.Write);
  mmu.setMemslot({ slot: 0, gpa: 0, size: RUN * PAGE, hugepages: true, dirtyLog: true });
  at(3);
  expect(mmu.translation.licence & Licence.Write).toBe(0);
  at(5, Access.Write);
  expect(isLarge(5)).toBe(false);
  expect(mmu.getDirtyLog(0)[0]).toBe(1 << 5);
});

test("hugepages cannot be switched on a slot that lives", () => {
  const { mmu } = guest(0, RUN);
  expect(() => mmu.setMemslot({ slot: 0, gpa: 0, size: RUN * PAGE })).toThrow("delete it first");
});

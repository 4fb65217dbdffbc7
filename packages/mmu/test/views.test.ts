import { expect, it } from "vitest";
import { Access, Licence, Mmu, Status } from "../src/index.js";

const controls = (view?: number) => ({
  cr0: 0,
  cr3Lo: 0,
  cr3Hi: 0,
  cr4: 0,
  efer: 0,
  pkru: 0,
  ...(view === undefined ? {} : { view }),
});

function memory(): { readonly mmu: Mmu; readonly changes: number[] } {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4 });
  const mmu = new Mmu({ memory, arenaStart: 65536, arenaEnd: 4 * 65536 });
  mmu.setMemslot({ slot: 0, gpa: 0, size: 16 * 4096 });
  const changes: number[] = [];
  mmu.onInvalidate((gfn) => changes.push(gfn));
  return { mmu, changes };
}

it("a page is withheld from those who use the view, and from nobody else", () => {
  const { mmu, changes } = memory();
  mmu.withhold(3, Licence.Write, 1);
  expect([mmu.withheld(3, 1), mmu.withheld(3), changes]).toEqual([Licence.Write, 0, [3]]);
  expect(mmu.translate(controls(1), 0x3000, 0, Access.Write)).toBe(Status.Exit);
  expect(mmu.translate(controls(), 0x3000, 0, Access.Write)).toBe(Status.Ok);
  expect(mmu.translate(controls(1), 0x3000, 0, 0)).toBe(Status.Ok);
  expect(mmu.translation.licence & Licence.Write).toBe(0);
  mmu.release(3, Licence.Write, 1);
  expect(mmu.translate(controls(1), 0x3000, 0, Access.Write)).toBe(Status.Ok);
});

it("a frame can be another one in a view; it is known by its own number, watched by the seeming one", () => {
  const { mmu } = memory();
  mmu.writeU32(0x5000, 0x1234);
  mmu.remap(3, 5, 2);
  expect(mmu.translate(controls(2), 0x3000, 0, 0)).toBe(Status.Ok);
  expect([mmu.translation.gfn, mmu.translation.host]).toEqual([5, mmu.frameOf(5)]);
  mmu.translate(controls(), 0x3000, 0, 0);
  expect(mmu.translation.gfn).toBe(3);
  mmu.withhold(3, Licence.Read, 2);
  expect(mmu.translate(controls(2), 0x3000, 0, 0)).toBe(Status.Exit);
  expect(mmu.translation.gfn).toBe(3);
  expect(mmu.translate(controls(2), 0x5000, 0, 0)).toBe(Status.Ok);
});

it("where a frame seems to be another one, what becomes of that one is seen at once", () => {
  const { mmu } = memory();
  mmu.remap(3, 5, 1);
  const write = (): number => mmu.translate(controls(1), 0x3000, 0, Access.Write);
  write();
  mmu.setMemslot({ slot: 0, gpa: 0, size: 16 * 4096, dirtyLog: true });
  write();
  expect(mmu.getDirtyLog(0)).toEqual(Uint32Array.of(1 << 5));
  mmu.translate(controls(1), 0x3000, 0, 0);
  expect(mmu.translation.licence & Licence.Write).toBe(0);
  write();
  expect(mmu.getDirtyLog(0)).toEqual(Uint32Array.of(1 << 5));
  mmu.setMemslot({ slot: 0, gpa: 0, size: 0 });
  expect(write()).toBe(Status.Mmio);
  mmu.setMemslot({ slot: 1, gpa: 0x5000, size: 4096 });
  expect(write()).toBe(Status.Ok);
});

it("page tables are walked as the view has them", () => {
  const { mmu } = memory();
  const paging = { cr0: 0x80000001, cr3Lo: 0x1000, cr3Hi: 0, cr4: 0x20, efer: 0x500, pkru: 0 };
  mmu.writeU32(0x1000, 0x2003);
  mmu.writeU32(0x2000, 0x3003);
  mmu.writeU32(0x3000, 0x4003);
  mmu.writeU32(0x4008, 0x7003);
  mmu.writeU32(0x6008, 0x8003);
  mmu.remap(4, 6, 1);
  mmu.translate(paging, 0x1000, 0, 0);
  expect(mmu.translation.gfn).toBe(7);
  mmu.translate({ ...paging, view: 1 }, 0x1000, 0, 0);
  expect(mmu.translation.gfn).toBe(8);
  expect(mmu.readU32(0x6008) & 0x20).toBe(0x20);
});

it("a discarded view is as view 0 without changes, and everything it changed is announced", () => {
  const { mmu, changes } = memory();
  mmu.withhold(3, Licence.Read, 1);
  mmu.remap(4, 5, 1);
  changes.length = 0;
  mmu.discardView(1);
  expect(changes.sort()).toEqual([3, 4]);
  expect(mmu.translate(controls(1), 0x3000, 0, 0)).toBe(Status.Ok);
  mmu.translate(controls(1), 0x4000, 0, 0);
  expect(mmu.translation.gfn).toBe(4);
});

it.each([0, 1])("many pages are given back with one announcement, and what others withhold stays (view %i)", (view) => {
  const { mmu, changes } = memory();
  const mine = new Map<number, number>();
  for (let gfn = 0; gfn < 1000; gfn++) {
    mmu.withhold(gfn, Licence.Write, view);
    mine.set(gfn, Licence.Write);
  }
  expect(mmu.translate(controls(view), 0x3000, 0, Access.Write)).toBe(Status.Exit);
  mmu.withhold(2000, Licence.Read, view);
  changes.length = 0;
  mmu.releaseAll(mine, view);
  expect([mmu.withheld(3, view), mmu.withheld(2000, view), changes.length]).toEqual([0, Licence.Read, 1]);
  expect(mmu.translate(controls(view), 0x3000, 0, Access.Write)).toBe(Status.Ok);
  mmu.releaseAll(new Map([[2000, Licence.Read]]), view);
  expect(mmu.withheld(2000, view)).toBe(0);
});

it("a view with many changes is announced at once when it goes", () => {
  const { mmu, changes } = memory();
  for (let gfn = 0; gfn < 1000; gfn++) mmu.withhold(gfn, Licence.Write, 1);
  changes.length = 0;
  mmu.discardView(1);
  expect(changes).toEqual([0]);
  expect(mmu.translate(controls(1), 0x3000, 0, Access.Write)).toBe(Status.Ok);
});

it("one who only looks finds what a page leads to: nothing marked, nobody told, no rights asked", () => {
  const { mmu } = memory();
  const paging = { cr0: 0x80000001, cr3Lo: 0x1000, cr3Hi: 0, cr4: 0x100020, efer: 0x500, pkru: 0 };
  const tables = [
    [0x1000, 0x2007],
    [0x2000, 0x3007],
    [0x3000, 0x4007],
    [0x4008, 0x7007],
    [0x6008, 0x8003],
  ] as const;
  for (const [at, entry] of tables) mmu.writeU32(at, entry);
  mmu.withhold(7, Licence.All);
  mmu.withhold(4, Licence.All);
  // A user page under SMAP, withheld: as a translation it would be a fault or an exit.
  expect(mmu.locate({ ...paging, cr4: 0x300020 }, 0x1abc, 0)).toBe(0x7abc);
  expect(mmu.locate(paging, 0x2000, 0)).toBeNull();
  expect(tables.map(([at]) => mmu.readU32(at))).toEqual(tables.map(([, entry]) => entry));
  mmu.remap(4, 6, 1);
  expect(mmu.locate({ ...paging, view: 1 }, 0x1abc, 0)).toBe(0x8abc);
  mmu.remap(8, 9, 1);
  expect(mmu.locate({ ...paging, view: 1 }, 0x1abc, 0)).toBe(0x9abc);
  expect(mmu.gvaToGpa({ ...paging, view: 1 }, 0x1abc, 0)).toBe(0x8abc);
  expect(mmu.locate(controls(), 0x5123, 0)).toBe(0x5123);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Access, type MemslotDesc, MemslotError, Mmu, Status } from "../src/index.js";
import { newMemory, newMmu, PAGE } from "./fixture.js";

const FLAT = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };
const at = (mmu: Mmu, gpa: number, access = 0): number => mmu.translate(FLAT, gpa, 0, access);

/** The `code` of the MemslotError that `action` throws. */
function refusal(action: () => void): string {
  try {
    action();
  } catch (error) {
    if (error instanceof MemslotError) return error.code;
    throw error;
  }
  return "none";
}

describe("KVM_SET_USER_MEMORY_REGION", () => {
  test("memory is where a memslot is; everything else is MMIO", () => {
    const mmu = newMmu(0, { arenaPages: 64 });
    mmu.setMemslot({ slot: 3, gpa: 4 * PAGE, size: 2 * PAGE });
    mmu.setMemslot({ slot: 1, gpa: 8 * PAGE, size: PAGE });
    const statuses = Array.from({ length: 10 }, (_, page) => at(mmu, page * PAGE));
    const backed = [4, 5, 8];
    expect(statuses).toEqual(Array.from({ length: 10 }, (_, i) => (backed.includes(i) ? Status.Ok : Status.Mmio)));
    expect(mmu.memslots.map(({ slot }) => slot)).toEqual([3, 1]);
  });

  test("size 0 deletes: the range is MMIO, its frames are free, a new slot there is zero", () => {
    const mmu = newMmu(4);
    mmu.writeU32(0x1000, 0x12345678);
    mmu.setMemslot({ slot: 0, gpa: 0, size: 0 });
    expect(at(mmu, 0x1000)).toBe(Status.Mmio);
    expect(mmu.touchedFrames).toBe(0);
    expect(mmu.availableFrames).toBe(4);
    mmu.setMemslot({ slot: 9, gpa: 0, size: 4 * PAGE });
    expect(mmu.frameOf(1)).not.toBe(0);
    expect(mmu.readU32(0x1000)).toBe(0);
  });

  test("the same size at another address moves the memory with its contents", () => {
    const mmu = newMmu(4);
    mmu.writeU32(0x1000, 0x12345678);
    mmu.setMemslot({ slot: 0, gpa: 2 * PAGE, size: 4 * PAGE });
    expect(at(mmu, 0x1000)).toBe(Status.Mmio);
    expect(mmu.readU32(0x3000)).toBe(0x12345678);
  });

  test("a slot may move onto part of its own old range", () => {
    const mmu = newMmu(4);
    const ranges: [number, number][] = [];
    mmu.onInvalidate((gfn, pages) => ranges.push([gfn, pages]));
    mmu.setMemslot({ slot: 0, gpa: PAGE, size: 4 * PAGE });
    expect(ranges).toEqual([
      [0, 4],
      [1, 4],
    ]);
  });

  test("slots at the top of the guest-physical address space work, beyond it they are EINVAL", () => {
    const mmu = newMmu(0, { arenaPages: 4, maxPhyAddr: 52 });
    mmu.setMemslot({ slot: 0, gpa: 2 ** 52 - PAGE, size: PAGE });
    expect(mmu.writeU32(2 ** 52 - 4, 0xfeedface)).toBe(true);
    expect(mmu.readU32(2 ** 52 - 4)).toBe(0xfeedface);
    expect(refusal(() => mmu.setMemslot({ slot: 1, gpa: 2 ** 52, size: PAGE }))).toBe("EINVAL");
  });

  test.each<[string, MemslotDesc, string]>([
    ["gpa inside a page", { slot: 1, gpa: 0x10001, size: PAGE }, "EINVAL"],
    ["negative gpa", { slot: 1, gpa: -PAGE, size: PAGE }, "EINVAL"],
    ["gpa that is no number", { slot: 1, gpa: Number.NaN, size: PAGE }, "EINVAL"],
    ["size of part of a page", { slot: 1, gpa: 0x10000, size: 100 }, "EINVAL"],
    ["identity out of range", { slot: 32764, gpa: 0x10000, size: PAGE }, "EINVAL"],
    ["identity that is no integer", { slot: 0.5, gpa: 0x10000, size: PAGE }, "EINVAL"],
    ["overlap with another slot", { slot: 1, gpa: 3 * PAGE, size: 2 * PAGE }, "EEXIST"],
    ["a slot around another slot", { slot: 1, gpa: 0, size: 8 * PAGE }, "EEXIST"],
    ["deletion of what does not exist", { slot: 1, gpa: 0, size: 0 }, "ENOENT"],
    ["more than the arena holds", { slot: 1, gpa: 0x10000, size: 5 * PAGE }, "ENOMEM"],
    ["another size", { slot: 0, gpa: 0, size: 2 * PAGE }, "EINVAL"],
    ["readonly switched", { slot: 0, gpa: 0, size: 4 * PAGE, readonly: true }, "EINVAL"],
  ])("%s is refused and changes nothing", (_, desc, code) => {
    const mmu = newMmu(4, { arenaPages: 8 });
    const before = mmu.memslots;
    mmu.onInvalidate(() => expect.fail("nothing changed"));
    expect(refusal(() => mmu.setMemslot(desc))).toBe(code);
    expect(mmu.memslots).toEqual(before);
    expect(mmu.availableFrames).toBe(4);
  });
});

describe("read-only memslots", () => {
  test("the guest reads and executes them without a write licence; its writes are MMIO", () => {
    const mmu = newMmu(0, { arenaPages: 4 });
    mmu.setMemslot({ slot: 0, gpa: 0, size: PAGE, readonly: true });
    expect(at(mmu, 0)).toBe(Status.Ok);
    expect(mmu.translation.licence).toBe(5);
    expect(at(mmu, 0, Access.Fetch)).toBe(Status.Ok);
    expect(at(mmu, 0, Access.Write)).toBe(Status.Mmio);
    expect(mmu.translation.gfn).toBe(0);
  });

  test("the host writes them", () => {
    const mmu = newMmu(0, { arenaPages: 4 });
    mmu.setMemslot({ slot: 0, gpa: 0, size: PAGE, readonly: true });
    expect(mmu.writeU8(5, 7)).toBe(true);
    expect(mmu.readU8(5)).toBe(7);
  });
});

describe("frames", () => {
  test("a frame is taken at the first touch, not by looking", () => {
    const mmu = newMmu(8);
    expect(mmu.touchedFrames).toBe(0);
    expect(mmu.peekFrame(2)).toBe(0);
    expect(mmu.readU32(0x2000)).toBe(0);
    expect(mmu.read(0, new Uint8Array(8 * PAGE))).toBe(true);
    expect(mmu.touchedFrames).toBe(0);
    at(mmu, 0x2000);
    mmu.writeU8(0x3000, 1);
    const frame = mmu.frameOf(4);
    expect(mmu.touchedFrames).toBe(3);
    expect(mmu.frameOf(4)).toBe(frame);
    expect(mmu.peekFrame(4)).toBe(frame);
    expect(mmu.touchedFrames).toBe(3);
  });

  test("there is no frame where no memslot is", () => {
    const mmu = newMmu(8);
    expect(mmu.frameOf(8)).toBe(0);
    expect(mmu.peekFrame(8)).toBe(0);
  });

  test("maxPhyAddr outside 32..52 is refused", () => {
    for (const maxPhyAddr of [31, 53, 40.5]) {
      expect(() => new Mmu({ memory: newMemory(16), arenaStart: PAGE, arenaEnd: 2 * PAGE, maxPhyAddr })).toThrow(
        RangeError,
      );
    }
  });
});

test("any sequence of memslot calls behaves like a list of ranges", () => {
  const desc = fc.record({
    slot: fc.integer({ min: 0, max: 4 }),
    gpa: fc.integer({ min: 0, max: 23 }).map((page) => page * PAGE),
    size: fc.constantFrom(0, 1, 2, 3, 8).map((pages) => pages * PAGE),
  });
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(desc, { minLength: 1, maxLength: 30 }), (calls) => {
      const mmu = newMmu(0, { arenaPages: 15 });
      const model = new Map<number, { first: number; pages: number; mark: number }>();
      let mark = 0;
      for (const call of calls) {
        const first = call.gpa / PAGE;
        const pages = call.size / PAGE;
        const old = model.get(call.slot);
        const overlaps = [...model].some(
          ([id, r]) => id !== call.slot && first < r.first + r.pages && r.first < first + pages,
        );
        const used = [...model.values()].reduce((sum, r) => sum + r.pages, 0);
        let expected = "none";
        if (pages === 0) expected = old ? "none" : "ENOENT";
        else if (old && old.pages !== pages) expected = "EINVAL";
        else if (overlaps) expected = "EEXIST";
        else if (!old && used + pages > 15) expected = "ENOMEM";
        expect(refusal(() => mmu.setMemslot(call))).toBe(expected);
        if (expected !== "none") continue;
        accepted++;
        if (pages === 0) {
          model.delete(call.slot);
        } else {
          mark++;
          model.set(call.slot, { first, pages, mark });
          mmu.writeU32(call.gpa, mark);
        }
        for (let page = 0; page < 32; page++) {
          const slot = [...model.values()].find((r) => page >= r.first && page < r.first + r.pages);
          expect(at(mmu, page * PAGE)).toBe(slot ? Status.Ok : Status.Mmio);
          if (slot && page === slot.first) expect(mmu.readU32(page * PAGE)).toBe(slot.mark);
        }
      }
    }),
    { numRuns: 300, seed: 7 },
  );
  expect(accepted).toBeGreaterThan(300);
});

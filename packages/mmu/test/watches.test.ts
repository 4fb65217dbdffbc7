import { describe, expect, test } from "vitest";
import { Access, Licence, Status } from "../src/index.js";
import { longMode, map4, newMmu, P, PAGE, RW, translate, US } from "./fixture.js";

const LINEAR = 0x7fff_1234_5000n;
const KINDS = [
  ["read", 0, Licence.Read],
  ["write", Access.Write, Licence.Write],
  ["fetch", Access.Fetch, Licence.Fetch],
] as const;

/** An Mmu with LINEAR mapped read-write-execute for users at gfn 9. */
function mapped(): ReturnType<typeof newMmu> {
  const mmu = newMmu(16);
  map4(mmu, LINEAR, 0x9000n | P | RW | US);
  return mmu;
}

describe("withheld licences", () => {
  test.each(KINDS)(
    "a withheld %s leaves the guest with the page and the licence; other accesses lose nothing but that licence",
    (_, access, bit) => {
      const mmu = mapped();
      translate(mmu, longMode(), LINEAR, Access.User | Access.Write);
      mmu.withhold(9, bit);
      for (const [, other, otherBit] of KINDS) {
        const status = translate(mmu, longMode(), LINEAR, Access.User | other);
        if (other === access) {
          expect(status).toBe(Status.Exit);
          expect(mmu.translation).toMatchObject({ gfn: 9, errorCode: otherBit });
        } else {
          expect(status).toBe(Status.Ok);
          expect(mmu.translation.licence).toBe(Licence.All & ~bit);
        }
      }
    },
  );

  test("a page whose reads alone are withheld can be written, also where tables are walked from the top", () => {
    const mmu = newMmu(8, { arenaPages: 9 });
    mmu.setMemslot({ slot: 1, gpa: 2 ** 34, size: PAGE });
    map4(mmu, LINEAR, BigInt(2 ** 34) | P | RW | US);
    mmu.withhold(2 ** 22, Licence.Read);
    for (let time = 0; time < 2; time++) {
      expect(translate(mmu, longMode(), LINEAR, Access.User | Access.Write)).toBe(Status.Ok);
      expect(mmu.translation.licence).toBe(Licence.Write | Licence.Fetch);
    }
  });

  test("other pages are not touched", () => {
    const mmu = mapped();
    mmu.withhold(8, Licence.All);
    mmu.withhold(10, Licence.All);
    expect(translate(mmu, longMode(), LINEAR, Access.User | Access.Write)).toBe(Status.Ok);
    expect(mmu.translation.licence).toBe(Licence.All);
  });

  test("a page fault comes before an exit, an exit does not come for MMIO", () => {
    const mmu = newMmu(16);
    mmu.withhold(9, Licence.All);
    mmu.withhold(0x20, Licence.All);
    map4(mmu, LINEAR, 0x9000n | P | RW);
    expect(translate(mmu, longMode(), LINEAR, Access.User)).toBe(Status.Fault);
    map4(mmu, LINEAR, 0x20000n | P | RW);
    expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Mmio);
  });

  test("masks are bits, not counters: withholding adds, releasing removes", () => {
    const mmu = mapped();
    mmu.withhold(9, Licence.Read);
    mmu.withhold(9, Licence.Read | Licence.Write);
    expect(mmu.withheld(9)).toBe(Licence.Read | Licence.Write);
    mmu.release(9, Licence.Read);
    expect(mmu.withheld(9)).toBe(Licence.Write);
    expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Ok);
    mmu.release(9, Licence.All);
    expect(translate(mmu, longMode(), LINEAR, Access.Write)).toBe(Status.Ok);
  });

  test("every change invalidates the page, a call that changes nothing does not", () => {
    const mmu = mapped();
    const pages: number[] = [];
    const stop = mmu.onInvalidate((gfn, count) => pages.push(gfn, count));
    mmu.withhold(9, Licence.Write);
    mmu.withhold(9, Licence.Write);
    mmu.release(9, Licence.Read);
    mmu.release(9, Licence.Write);
    expect(pages).toEqual([9, 1, 9, 1]);
    stop();
    mmu.withhold(9, Licence.Read);
    expect(pages).toHaveLength(4);
  });

  test("the walk may read withheld page tables and set A and D in them", () => {
    const mmu = mapped();
    for (const table of [1, 2, 3, 4]) mmu.withhold(table, Licence.All);
    expect(translate(mmu, longMode(), LINEAR, Access.Write | Access.User)).toBe(Status.Ok);
    expect(mmu.readU32(0x4000 + Number((LINEAR >> 12n) & 0x1ffn) * 8) & 0x60).toBe(0x60);
  });

  test("the host reads and writes withheld pages", () => {
    const mmu = newMmu(4);
    mmu.withhold(1, Licence.All);
    expect(mmu.writeU32(0x1000, 5)).toBe(true);
    expect(mmu.readU32(0x1000)).toBe(5);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Ept } from "../src/tdp/ept.js";
import { EptExit, EptWalker } from "../src/tdp/ept-walk.js";
import type { ExternalErrno, ExternalPageTable } from "../src/tdp/external.js";
import { RetPf } from "../src/tdp/ret-pf.js";
import { TdpRoot } from "../src/tdp/root.js";
import { leafLo, Spte } from "../src/tdp/spte.js";
import { TablePages } from "../src/tdp/table-pages.js";

const LEVELS = 4;
const FEATURES = { executeOnly: true, pages2M: true, pages1G: true, accessedDirty: false, maxPhyAddr: 32 };
const { R, W, Rwx } = Ept;

const leaf = (pfn: number, rights: number = Rwx, level = 1): number => leafLo(pfn, rights, level);

function newRoot(external: ExternalPageTable | null = null): TdpRoot {
  return new TdpRoot(new TablePages(200), LEVELS, external);
}

/** The frame that a processor finds with EPT, null where it exits. */
function walk(root: TdpRoot, gfn: number, want: number = R): number | null {
  const walker = new EptWalker(root.pages, FEATURES);
  return walker.walk(root.table, LEVELS, gfn, { want }) === EptExit.None ? walker.pfn : null;
}

/** Calls as they come; `answer` is what the next one that can fail answers. */
class Recorder implements ExternalPageTable {
  readonly calls: string[] = [];
  answer: () => ExternalErrno | null = () => null;

  linkSpt(gfn: number, level: number, table: number): ExternalErrno | null {
    this.calls.push(`link ${gfn} ${level} ${table}`);
    return this.answer();
  }
  setSpte(gfn: number, level: number, pfn: number): ExternalErrno | null {
    this.calls.push(`set ${gfn} ${level} ${pfn}`);
    return this.answer();
  }
  removeSpte(gfn: number, level: number, pfn: number): void {
    this.calls.push(`remove ${gfn} ${level} ${pfn}`);
  }
  freeSpt(gfn: number, level: number, table: number): void {
    this.calls.push(`free ${gfn} ${level} ${table}`);
  }
}

describe("a tree of SPTEs", () => {
  test("is what a processor walks as EPT, and holds what it was given", () => {
    const root = newRoot();
    for (const gfn of [0, 511, 512, 2 ** 18 + 3, 2 ** 35 + 7]) {
      expect(root.map(gfn, 1, leaf(gfn % 1000), 0)).toBe(RetPf.Fixed);
      expect(walk(root, gfn)).toBe(gfn % 1000);
      expect(walk(root, gfn + 1)).toBeNull();
    }
  });

  test("a second mapping of the same is spurious, more rights are not, and rights are never taken by a fault", () => {
    const root = newRoot();
    expect(root.map(5, 1, leaf(9, R), 0)).toBe(RetPf.Fixed);
    expect(root.map(5, 1, leaf(9, R), 0)).toBe(RetPf.Spurious);
    expect(root.map(5, 1, leaf(9), 0)).toBe(RetPf.Fixed);
    expect(root.map(5, 1, leaf(9, R), 0)).toBe(RetPf.Spurious);
    expect(walk(root, 5, W)).toBe(9);
  });

  test("an MMIO entry is a misconfiguration; memory takes its place", () => {
    const root = newRoot();
    root.map(5, 1, Spte.Mmio, 0);
    const walker = new EptWalker(root.pages, FEATURES);
    expect(walker.walk(root.table, LEVELS, 5, { want: R })).toBe(EptExit.Misconfiguration);
    expect(root.zap(0, 6)).toBe(false);
    expect(walker.walk(root.table, LEVELS, 5, { want: R })).toBe(EptExit.Violation);
  });

  test("a large entry maps 512 frames; an entry below it is not made, and taking some of it takes all", () => {
    const root = newRoot();
    expect(root.map(1024, 2, leaf(512, Rwx, 2), 0)).toBe(RetPf.Fixed);
    expect([1023, 1024, 1535, 1536].map((gfn) => walk(root, gfn))).toEqual([null, 512, 1023, null]);
    expect(root.map(1030, 1, leaf(3), 0)).toBe(RetPf.Spurious);
    expect(root.writeProtect(1030, 1031)).toBe(true);
    expect(walk(root, 1024)).toBeNull();
    root.map(1024, 2, leaf(512, Rwx, 2), 0);
    expect(root.zap(1535, 1540)).toBe(true);
    expect(walk(root, 1024)).toBeNull();
  });

  test("tables that a range covers go with it, and come back empty", () => {
    const root = newRoot();
    const { available } = root.pages;
    for (const gfn of [0, 512, 2 ** 18]) root.map(gfn, 1, leaf(1), 0);
    expect(root.pages.available).toBe(available - 6);
    root.zap(0, 1024);
    expect(root.pages.available).toBe(available - 4);
    expect(root.cached(0)).toBe(0);
    root.map(512 * 600, 1, leaf(1), 0);
    expect(walk(root, 512 * 600 + 1)).toBeNull();
    root.free();
    expect(root.pages.available).toBe(available + 1);
  });

  test("whatever is mapped, protected and removed, it is a map from guest frames to frames and rights", () => {
    const gfn = fc.constantFrom(0, 1, 2, 510, 511, 512, 513, 1023, 1024, 2 ** 18 - 1, 2 ** 18, 2 ** 27, 2 ** 35);
    const operation = fc.oneof(
      fc.record({ do: fc.constant("map" as const), gfn, rights: fc.constantFrom(R, R | W, Rwx) }),
      fc.record({ do: fc.constant("zap" as const), gfn, pages: fc.integer({ min: 1, max: 1500 }) }),
      fc.record({ do: fc.constant("protect" as const), gfn, pages: fc.integer({ min: 1, max: 8 }) }),
      fc.record({ do: fc.constant("remember" as const), gfn }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const root = newRoot();
        const model = new Map<number, number>();
        for (const op of operations) {
          const inRange = (key: number): boolean => "pages" in op && key >= op.gfn && key < op.gfn + op.pages;
          if (op.do === "map") {
            root.map(op.gfn, 1, leaf(op.gfn % 997, op.rights), 0);
            model.set(op.gfn, (model.get(op.gfn) ?? 0) | op.rights);
          } else if (op.do === "zap") {
            const any = root.zap(op.gfn, op.gfn + op.pages);
            expect(any).toBe([...model.keys()].some(inRange));
            for (const key of [...model.keys()].filter(inRange)) model.delete(key);
          } else if (op.do === "protect") {
            root.writeProtect(op.gfn, op.gfn + op.pages);
            for (const [key, rights] of model) if (inRange(key)) model.set(key, rights & ~W);
          } else {
            const at = root.find(op.gfn);
            if (at !== 0) root.remember(op.gfn, at);
          }
          for (const key of [0, 1, 2, 510, 511, 512, 513, 1023, 1024, 2 ** 18 - 1, 2 ** 18, 2 ** 27, 2 ** 35]) {
            const rights = model.get(key) ?? 0;
            expect(walk(root, key)).toBe(rights === 0 ? null : key % 997);
            expect(walk(root, key, W)).toBe((rights & W) === 0 ? null : key % 997);
            const cached = root.cached(key);
            // Words of page 0 are never present.
            if (cached >= 1024 && rights !== 0) expect(cached).toBe(root.find(key));
            expect((root.pages.u32[cached] as number) & Rwx & ~rights).toBe(0);
          }
        }
      }),
    );
  });
});

describe("a mirror: every change is made outside first, while the entry is frozen", () => {
  test("tables are linked from the top, then the leaf is set; the entry is not to be had meanwhile", () => {
    const external = new Recorder();
    const root = newRoot(external);
    const seen: RetPf[] = [];
    external.answer = () => {
      seen.push(root.map(5, 1, leaf(8), 0));
      expect(walk(root, 5)).toBeNull();
      return null;
    };
    expect(root.map(5, 1, leaf(9), 0)).toBe(RetPf.Fixed);
    expect(external.calls).toEqual(["link 0 3 2", "link 0 2 3", "link 0 1 4", "set 5 1 9"]);
    expect(seen).toEqual([RetPf.Retry, RetPf.Retry, RetPf.Retry, RetPf.Retry]);
    expect(walk(root, 5)).toBe(9);
    expect(root.map(5, 1, leaf(9), 0)).toBe(RetPf.Spurious);
  });

  test.each<[ExternalErrno, RetPf]>([
    ["EBUSY", RetPf.Retry],
    ["EIO", RetPf.MemoryFault],
  ])("%s at any step leaves everything as it was, and no table is lost", (errno, result) => {
    for (let step = 0; step < 4; step++) {
      const external = new Recorder();
      const root = newRoot(external);
      const before = root.pages.available;
      let left = step;
      external.answer = () => (left-- === 0 ? errno : null);
      expect(root.map(5, 1, leaf(9), 0)).toBe(result);
      expect(root.pages.available).toBe(before - step);
      expect(root.find(5)).toBe(0);
      external.answer = () => null;
      expect(root.map(5, 1, leaf(9), 0)).toBe(RetPf.Fixed);
    }
  });

  test("leaves are removed; tables stay until the tree goes, and are freed from the bottom", () => {
    const external = new Recorder();
    const root = newRoot(external);
    const before = root.pages.available;
    root.map(5, 1, leaf(9), 0);
    external.calls.length = 0;
    expect(root.zap(0, 2 ** 36)).toBe(true);
    expect(external.calls).toEqual(["remove 5 1 9"]);
    root.map(6, 1, leaf(9), 0);
    external.calls.length = 0;
    root.free();
    expect(external.calls).toEqual(["remove 6 1 9", "free 0 1 4", "free 0 2 3", "free 0 3 2"]);
    expect(root.pages.available).toBe(before + 1);
  });
});

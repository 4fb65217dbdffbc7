import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import { Tlb } from "../src/tlb.js";

const START = 65536;
const HIGH = 0xffff8000 | 0;

function makeTlb() {
  const tlb = new Tlb(new WebAssembly.Memory({ initial: 1 + Math.ceil(Tlb.bytes / 65536) }), START);
  const read = tlb.base(S.MmuIndex.Kernel, 0);
  const fetch = tlb.base(S.MmuIndex.User, 2);
  const fill = (base: number, lo: number, hi: number, { owner = 0, global = false, large = false } = {}) =>
    tlb.fill(base, lo, hi, (0x7000_0000 - lo) | 0, owner, global, large);
  const holds = (base: number, lo: number, hi: number) => tlb.probe(base, lo, hi, 1) !== 0;
  return { tlb, read, fetch, fill, holds };
}

describe("one page is forgotten (SDM vol. 3, 4.10.4.1)", () => {
  test("in every TLB, whether it is global or not, and no other page", () => {
    const { tlb, read, fetch, fill, holds } = makeTlb();
    fill(read, 0x5000, HIGH, { global: true });
    fill(fetch, 0x5000, HIGH);
    fill(read, 0x6000, HIGH);
    fill(fetch, 0x5000, 0);
    tlb.flushPage(0x5123, HIGH);
    expect([holds(read, 0x5000, HIGH), holds(fetch, 0x5000, HIGH)]).toEqual([false, false]);
    expect([holds(read, 0x6000, HIGH), holds(fetch, 0x5000, 0)]).toEqual([true, true]);
  });

  test("an address elsewhere that shares the entry does not end a translation", () => {
    const { tlb, read, fill, holds } = makeTlb();
    fill(read, 0x5000, 0);
    tlb.flushPage(0x5000 + 4096 * S.TLB_ENTRIES, 0);
    expect(holds(read, 0x5000, 0)).toBe(true);
  });

  test.each([
    ["a few fills", 4],
    ["more fills than are searched", 1000],
    ["more fills than are logged", 10_000],
  ])("with a large page all its pieces, after %s", (_, fills) => {
    const { tlb, read, fetch, fill, holds } = makeTlb();
    for (let k = 0; k < fills; k++) fill(read, (k % 64) * 4096, HIGH);
    fill(read, 0x4020_0000, 0, { large: true, global: true });
    fill(fetch, 0x4021_f000, 0, { large: true });
    tlb.flushPage(0x4030_0000, 0);
    expect([holds(read, 0x4020_0000, 0), holds(fetch, 0x4021_f000, 0)]).toEqual([false, false]);
  });

  test("a large page elsewhere costs nobody else the translation", () => {
    const { tlb, read, fill, holds } = makeTlb();
    fill(read, 0, HIGH, { large: true });
    fill(read, 0x5000, 0);
    fill(read, 0x6000, 0);
    tlb.flushPage(0x6000, 0);
    expect([holds(read, 0, HIGH), holds(read, 0x5000, 0), holds(read, 0x6000, 0)]).toEqual([true, true, false]);
  });
});

describe("what was entered for one owner is forgotten", () => {
  test("in every TLB of one kind, global pages and others", () => {
    const { tlb, fetch, fill, holds } = makeTlb();
    const kernel = tlb.base(S.MmuIndex.Kernel, 2);
    fill(fetch, 0x5000, 0, { owner: 7 });
    fill(kernel, 0x6000, HIGH, { owner: 7, global: true });
    tlb.flushOwner(2, 7);
    expect([holds(fetch, 0x5000, 0), holds(kernel, 0x6000, HIGH)]).toEqual([false, false]);
  });

  test("and nothing of another kind or owner, not even what now has the place", () => {
    const { tlb, read, fetch, fill, holds } = makeTlb();
    fill(read, 0x5000, 0, { owner: 7 });
    fill(fetch, 0x6000, 0, { owner: 7 + 1024 });
    fill(fetch, 0x7000, 0, { owner: 7 });
    fill(fetch, 0x7000 + 4096 * S.TLB_ENTRIES, 0, { owner: 8 });
    tlb.flushOwner(2, 7);
    expect(holds(read, 0x5000, 0)).toBe(true);
    expect([holds(fetch, 0x6000, 0), holds(fetch, 0x7000 + 4096 * S.TLB_ENTRIES, 0)]).toEqual([true, true]);
  });

  test.each([
    ["between other fills", 100],
    ["after more fills than are logged", 10_000],
  ])("%s", (_, fills) => {
    const { tlb, fetch, fill, holds } = makeTlb();
    const owner = 0x8000_0007;
    fill(fetch, 0x5000, 0, { owner });
    for (let k = 0; k < fills; k++) fill(fetch, (64 + (k % 64)) * 4096, HIGH, { owner: k % 64 });
    fill(fetch, 0x6000, 0, { owner });
    tlb.flushOwner(2, owner);
    expect([holds(fetch, 0x5000, 0), holds(fetch, 0x6000, 0)]).toEqual([false, false]);
  });

  test("also if it was entered again after a flush, and nothing that was entered before", () => {
    const { tlb, fetch, fill, holds } = makeTlb();
    for (let k = 0; k < 16; k++) fill(fetch, k * 4096, 0, { owner: k });
    tlb.flush();
    for (let k = 0; k < 16; k++) fill(fetch, (16 + k) * 4096, 0, { owner: 15 - k });
    tlb.flushOwner(2, 3);
    const held = Array.from({ length: 16 }, (_, k) => holds(fetch, (16 + k) * 4096, 0));
    expect(held).toEqual(Array.from({ length: 16 }, (_, k) => k !== 12));
  });
});

test("a flush that spares global pages forgets the others", () => {
  const { tlb, read, fill, holds } = makeTlb();
  fill(read, 0x5000, 0);
  fill(read, 0x6000, 0, { global: true });
  tlb.flush(false);
  expect([holds(read, 0x5000, 0), holds(read, 0x6000, 0)]).toEqual([false, true]);
  tlb.flush();
  expect(holds(read, 0x6000, 0)).toBe(false);
});

test("more global pages than are logged stay when the others are forgotten, and go with a flush of all", () => {
  const { tlb, read, fill, holds } = makeTlb();
  for (let k = 0; k < 10_000; k++) fill(read, (k % 256) * 4096, HIGH, { global: true, large: true });
  fill(read, 0x40_0000, 0);
  tlb.flush(false);
  expect([holds(read, 0, HIGH), holds(read, 0x40_0000, 0)]).toEqual([true, false]);
  tlb.flush();
  expect(holds(read, 0, HIGH)).toBe(false);
});

test("more pieces of large pages than are logged are forgotten all the same", () => {
  const { tlb, read, fill, holds } = makeTlb();
  for (let k = 0; k < 10_000; k++) fill(read, (k % 256) * 4096, HIGH, { large: true });
  tlb.flushPage(0, HIGH);
  expect([holds(read, 0, HIGH), holds(read, 255 * 4096, HIGH)]).toEqual([false, false]);
  fill(read, 0x5000, HIGH);
  expect(holds(read, 0x5000, HIGH)).toBe(true);
});

import { expect, test } from "vitest";
import { CodeCache } from "../src/code/cache.js";

const START = 65536;

function cacheOf(...gfns: readonly number[]): { code: CodeCache; dropped: number[] } {
  const code = new CodeCache(new WebAssembly.Memory({ initial: 32 }), START, 32 * 65536);
  const dropped: number[] = [];
  code.onDrop((page) => dropped.push(page?.gfn ?? -1));
  for (const gfn of gfns) code.page(gfn, 64, 0x1000);
  return { code, dropped };
}

test.each([
  ["fewer frames than have code", 2],
  ["more frames than have code", 1000],
])("code of a range is forgotten, and no other: of %s", (_, pages) => {
  const { code, dropped } = cacheOf(9, 10, 11, 9 + pages, 10 + pages);
  code.dropAll(10, pages);
  expect(dropped.sort((a, b) => a - b)).toEqual(pages === 2 ? [10, 11] : [10, 11, 1009]);
  expect([9, 10, 10 + pages].map((gfn) => code.isCode(gfn))).toEqual([true, false, true]);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import type { BloomFilter } from "../../src/maps/bloom-filter.js";
import { jhash } from "../../src/maps/jhash.js";
import { systemLookup, systemTake, systemUpdate } from "../../src/maps/system.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { MapBench } from "./host.js";

const setUp = (valueSize = 4, maxEntries = 100) => {
  const bench = new MapBench();
  return { bench, map: bench.create<BloomFilter>({ type: MapType.BloomFilter, keySize: 0, valueSize, maxEntries }) };
};

describe("a bloom filter", () => {
  test("has all that was put in, and most of the time only that", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 50 }), (numbers) => {
        const { bench, map } = setUp();
        const [first, ...rest] = numbers as [number, ...number[]];
        for (const number of rest) expect(map.push(bench.valueOf(number), 0n)).toBe(0);
        for (const number of rest) expect(map.peek(bench.valueOf(number))).toBe(0);
        expect([0, -ERRNO.ENOENT]).toContain(map.peek(bench.valueOf(first)));
      }),
    );
    const { bench, map } = setUp();
    for (let k = 0; k < 100; k++) map.push(bench.valueOf(k), 0n);
    let taken = 0;
    for (let k = 100; k < 1100; k++) if (map.peek(bench.valueOf(k)) === 0) taken++;
    expect(taken).toBeLessThan(100);
  });

  test("takes no flags, and has neither keys nor an end", () => {
    const { bench, map } = setUp();
    for (const flags of [1n, 2n, 4n]) expect(map.push(bench.valueOf(1), flags)).toBe(-ERRNO.EINVAL);
    expect([map.lookup(), map.delete(), map.nextKey()]).toEqual([-ERRNO.EINVAL, -ERRNO.EOPNOTSUPP, -ERRNO.EOPNOTSUPP]);
  });

  test("is asked by bpf(2) with the value in its place, and nothing is taken out", () => {
    const { bench, map } = setUp();
    expect(systemUpdate(map, 0, bench.valueOf(9), 0n)).toBe(0);
    expect(systemLookup(bench.host.arena, map, 0, bench.valueOf(9))).toBe(0);
    expect(systemLookup(bench.host.arena, map, 0, bench.valueOf(8))).toBe(-ERRNO.ENOENT);
    expect(systemTake(bench.host.arena, map, 0, bench.value)).toBe(-ERRNO.ENOTSUPP);
  });

  test("of more bits than there is memory for: ENOMEM", () => {
    const bench = new MapBench();
    const bloom = { type: MapType.BloomFilter, keySize: 0, flags: MapFlag.ZeroSeed };
    expect(bench.verdict({ ...bloom, maxEntries: 2 ** 32 - 1, extra: 15n })).toBe("ENOMEM");
    expect(bench.verdict({ ...bloom, valueSize: (4 << 20) + 1 })).toBe("E2BIG");
  });
});

test("lookup3 is what its author's own examples say", () => {
  const { arena } = new MapBench().host;
  const text = new TextEncoder().encode("Four score and seven years ago");
  const at = arena.alloc(64);
  arena.u8.set(text, at);
  // driver5 of lookup3.c: hashlittle(text, 30, 0) and hashlittle(text, 30, 1).
  expect([0, 1].map((seed) => jhash(arena, at, text.length, seed).toString(16))).toEqual(["17770551", "cd628161"]);
  expect(jhash(arena, at, 0, 0).toString(16)).toBe("deadbeef");
});

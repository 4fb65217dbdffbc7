import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import { dumpMap } from "../../src/maps/dump.js";
import { systemLookup, systemTake, systemUpdate, systemValueSize } from "../../src/maps/system.js";
import { MapType } from "../../src/uapi/map-types.js";
import { MapBench } from "./host.js";

const KINDS = [MapType.PercpuArray, MapType.PercpuHash, MapType.LruPercpuHash];
const [NOEXIST, EXIST, LOCK] = [1n, 2n, 4n];

describe.each(KINDS)("a map of type %i", (type) => {
  const setUp = () => {
    const bench = new MapBench(3);
    const map = bench.create({ type, valueSize: 4 });
    const put = (words: readonly number[], flags = 0n): number => {
      for (const [k, word] of words.entries()) bench.host.arena.setU32(bench.value + 4 * k, word);
      return systemUpdate(map, bench.keyOf(1), bench.value, flags);
    };
    const all = (): number[] | number => {
      const status = systemLookup(bench.host.arena, map, bench.keyOf(1), bench.value);
      return status === 0 ? Array.from({ length: 6 }, (_, k) => bench.host.arena.u32(bench.value + 4 * k)) : status;
    };
    return { bench, map, put, all };
  };

  test("has for bpf(2) the values of all CPUs, each a multiple of 8 bytes, with what fills them up", () => {
    const { map, put, all } = setUp();
    expect(systemValueSize(map)).toBe(24);
    expect(put([1, 2, 3, 4, 5, 6])).toBe(0);
    expect(all()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("has for a program that of its CPU, and an update by it leaves the others", () => {
    const { bench, map, put, all } = setUp();
    put([1, 0, 2, 0, 3, 0]);
    bench.cpu = 2;
    expect(bench.word(map.lookup(bench.keyOf(1)))).toBe(3);
    map.update(bench.keyOf(1), bench.valueOf(9), EXIST);
    expect(all()).toEqual([1, 0, 2, 0, 9, 0]);
  });

  test("takes no lock: EINVAL", () => {
    expect(setUp().put([1], LOCK)).toBe(-ERRNO.EINVAL);
  });

  test("is shown with a value for each CPU", () => {
    const { map, put } = setUp();
    put([1, 0, 2, 0, 3, 0]);
    const shown = [...dumpMap(map)].find(({ key }) => key[0] === 1);
    expect(shown?.values.map(([first, ...rest]) => [first, rest.length])).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
  });
});

describe("for bpf(2)", () => {
  test("an array for each CPU has all elements, and no more", () => {
    const bench = new MapBench(2);
    const map = bench.create({ type: MapType.PercpuArray });
    expect(systemUpdate(map, bench.keyOf(8), bench.value, 0n)).toBe(-ERRNO.E2BIG);
    expect(systemUpdate(map, bench.keyOf(7), bench.value, NOEXIST)).toBe(-ERRNO.EEXIST);
    expect(systemLookup(bench.host.arena, map, bench.keyOf(8), bench.value)).toBe(-ERRNO.ENOENT);
  });

  test("looking something up does not make it used: the next that has no room takes its place", () => {
    const bench = new MapBench();
    const map = bench.create({ type: MapType.LruHash, maxEntries: 2 });
    for (const key of [1, 2]) map.update(bench.keyOf(key), bench.valueOf(key), 0n);
    expect(systemLookup(bench.host.arena, map, bench.keyOf(1), bench.value)).toBe(0);
    map.update(bench.keyOf(3), bench.valueOf(3), 0n);
    expect([1, 2, 3].map((key) => bench.word(map.lookup(bench.keyOf(key))))).toEqual([null, 2, 3]);
  });

  test("values are taken out of hash tables and queues only", () => {
    const bench = new MapBench();
    const take = (type: MapType, keySize = 4): number => {
      const map = bench.create({ type, keySize });
      map.update(bench.keyOf(1), bench.valueOf(5), 0n);
      return systemTake(bench.host.arena, map, bench.keyOf(1), bench.value);
    };
    expect([take(MapType.Hash), take(MapType.LruHash), take(MapType.Queue, 0), take(MapType.Array)]).toEqual([
      ...[0, 0, 0, -ERRNO.ENOTSUPP],
    ]);
  });

  test("locks, timers and pointers are zeros, and stay what they are when a value is written", () => {
    const bench = new MapBench();
    const fields = { spinLock: 4, others: [{ kind: "bpf_timer", offset: 8, size: 16 }] };
    for (const type of [MapType.Hash, MapType.Array]) {
      const map = bench.create({ type, valueSize: 32, fields });
      const { arena } = bench.host;
      const write = (byte: number): number => {
        arena.u8.fill(byte, bench.value, bench.value + 32);
        return systemUpdate(map, bench.keyOf(1), bench.value, LOCK);
      };
      write(1);
      const at = map.lookup(bench.keyOf(1));
      arena.u8.fill(7, at + 4, at + 24);
      expect(write(2)).toBe(0);
      expect([...arena.read(map.lookup(bench.keyOf(1)), 32)]).toEqual([
        ...[2, 2, 2, 2],
        ...Array.from({ length: 20 }, () => 7),
        ...Array.from({ length: 8 }, () => 2),
      ]);
      systemLookup(arena, map, bench.keyOf(1), bench.value);
      expect([...arena.read(bench.value + 4, 20)]).toEqual(Array.from({ length: 20 }, () => 0));
    }
  });

  test("the values of a queue are shown in their order, and stay", () => {
    const bench = new MapBench();
    for (const [type, order] of [
      [MapType.Queue, [1, 2, 3]],
      [MapType.Stack, [3, 2, 1]],
    ] as const) {
      const map = bench.create({ type, keySize: 0, maxEntries: 3 });
      for (const value of [1, 2, 3]) map.update(0, bench.valueOf(value), 0n);
      for (let k = 0; k < 2; k++)
        expect([...dumpMap(map)].map(({ key, values }) => [key.length, values[0]?.[0]])).toEqual(
          order.map((value) => [0, value]),
        );
    }
  });
});

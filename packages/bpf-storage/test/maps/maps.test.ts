import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import { ArrayMap } from "../../src/maps/array.js";
import { HashMap } from "../../src/maps/hash.js";
import { QueueMap } from "../../src/maps/queue.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { outcomeOf } from "../outcome.js";
import { MapBench } from "./host.js";

const [NOEXIST, EXIST] = [1n, 2n];

describe("a hash table", () => {
  const step = fc.record({
    what: fc.constantFrom("update", "create", "replace", "delete", "lookup"),
    key: fc.nat({ max: 12 }),
    value: fc.nat({ max: 1000 }),
  });

  test("is what a Map is, with room for max_entries", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new MapBench();
        const before = bench.host.arena.used;
        const map = new HashMap(bench.host, bench.desc({}), 1);
        const model = new Map<number, number>();
        for (const { what, key, value } of steps) {
          const at = bench.keyOf(key);
          if (what === "lookup") expect(bench.word(map.lookup(at))).toBe(model.get(key) ?? null);
          else if (what === "delete") expect(map.delete(at)).toBe(model.delete(key) ? 0 : -ERRNO.ENOENT);
          else {
            const flags = what === "create" ? NOEXIST : what === "replace" ? EXIST : 0n;
            const status = map.update(at, bench.valueOf(value), flags);
            if (what === "create" && model.has(key)) expect(status).toBe(-ERRNO.EEXIST);
            else if (what === "replace" && !model.has(key)) expect(status).toBe(-ERRNO.ENOENT);
            else if (!model.has(key) && model.size === 8) expect(status).toBe(-ERRNO.E2BIG);
            else {
              expect(status).toBe(0);
              model.set(key, value);
            }
          }
        }
        const keys: number[] = [];
        const next = bench.host.arena.alloc(8);
        for (let key = 0; map.nextKey(key, next) === 0; key = bench.keyOf(keys.at(-1) as number))
          keys.push(bench.host.arena.u32(next));
        expect(keys.sort((a, b) => a - b)).toEqual([...model.keys()].sort((a, b) => a - b));
        bench.host.arena.free(next);
        map.free();
        expect(bench.host.arena.used).toBe(before);
      }),
    );
  });

  test("of the least recently used deletes what was not looked up for longest", () => {
    const bench = new MapBench();
    const map = new HashMap(bench.host, bench.desc({ type: MapType.LruHash, maxEntries: 3 }), 1);
    for (const key of [1, 2, 3]) map.update(bench.keyOf(key), bench.valueOf(key), 0n);
    map.lookup(bench.keyOf(1));
    map.update(bench.keyOf(4), bench.valueOf(4), 0n);
    expect([1, 2, 3, 4].map((key) => bench.word(map.lookup(bench.keyOf(key))))).toEqual([1, null, 3, 4]);
  });

  test("has a value for each CPU if it is one of those", () => {
    const bench = new MapBench(2);
    const map = new HashMap(bench.host, bench.desc({ type: MapType.PercpuHash }), 1);
    map.update(bench.keyOf(1), bench.valueOf(5), 0n);
    bench.cpu = 1;
    expect(bench.word(map.lookup(bench.keyOf(1)))).toBe(0);
    map.update(bench.keyOf(1), bench.valueOf(6), EXIST);
    expect([0, 1].map((cpu) => bench.word(map.at(bench.keyOf(1), cpu)))).toEqual([5, 6]);
  });

  test("a value that a program holds stays when it is replaced or deleted", () => {
    const bench = new MapBench();
    const map = new HashMap(bench.host, bench.desc({}), 1);
    map.update(bench.keyOf(1), bench.valueOf(5), 0n);
    bench.host.rcu.lock(() => {
      const held = map.lookup(bench.keyOf(1));
      map.update(bench.keyOf(1), bench.valueOf(6), 0n);
      map.delete(bench.keyOf(1));
      expect(bench.word(held)).toBe(5);
    });
  });

  test("is refused without keys, values or entries, and with flags that it does not have", () => {
    const bench = new MapBench();
    const made = (change: object): string => outcomeOf(() => new HashMap(bench.host, bench.desc(change), 1));
    expect(made({})).toBe("made");
    for (const change of [{ keySize: 0 }, { valueSize: 0 }, { maxEntries: 0 }, { flags: MapFlag.Mmapable }])
      expect(made(change)).toBe("EINVAL");
  });
});

describe("an array", () => {
  test("looks at the flags of an update, then the index, then that all exists, then the lock", () => {
    const bench = new MapBench();
    const map = new ArrayMap(bench.host, bench.desc({ type: MapType.Array }), 1);
    const update = (index: number, flags: bigint) => map.update(bench.keyOf(index), bench.valueOf(1), flags);
    expect(update(8, 3n)).toBe(-ERRNO.EINVAL);
    expect(update(8, 5n)).toBe(-ERRNO.E2BIG);
    expect(update(7, 5n)).toBe(-ERRNO.EEXIST);
    expect(update(7, 4n)).toBe(-ERRNO.EINVAL);
    expect(update(7, EXIST)).toBe(0);
  });

  test("gives its indexes in order, from the first for a key beyond them", () => {
    const bench = new MapBench();
    const map = new ArrayMap(bench.host, bench.desc({ type: MapType.Array, maxEntries: 3 }), 1);
    const next = (at: number): number => (map.nextKey(at, bench.value) === 0 ? (bench.word(bench.value) ?? -1) : -1);
    expect([next(0), next(bench.keyOf(0)), next(bench.keyOf(2)), next(bench.keyOf(7))]).toEqual([0, 1, -1, 0]);
  });

  test("has all its values from the beginning, and no more", () => {
    const bench = new MapBench();
    const map = new ArrayMap(bench.host, bench.desc({ type: MapType.Array }), 1);
    expect(bench.word(map.lookup(bench.keyOf(7)))).toBe(0);
    expect(map.lookup(bench.keyOf(8))).toBe(0);
    expect(map.update(bench.keyOf(7), bench.valueOf(5), 0n)).toBe(0);
    expect(bench.word(map.lookup(bench.keyOf(7)))).toBe(5);
    expect(map.update(bench.keyOf(8), bench.valueOf(5), 0n)).toBe(-ERRNO.E2BIG);
    expect(map.update(bench.keyOf(7), bench.valueOf(5), NOEXIST)).toBe(-ERRNO.EEXIST);
    expect(map.delete()).toBe(-ERRNO.EINVAL);
  });
});

describe("queues and stacks", () => {
  for (const [type, order] of [
    [MapType.Queue, [1, 2, 3]],
    [MapType.Stack, [3, 2, 1]],
  ] as const)
    test(`type ${type} gives in its order, is full at max_entries, and replaces the oldest if told`, () => {
      const bench = new MapBench();
      const map = new QueueMap(bench.host, bench.desc({ type, keySize: 0, maxEntries: 3 }), 1);
      const out = bench.host.arena.alloc(8);
      const pop = () => (map.next(out, true) === 0 ? bench.word(out) : null);
      for (const value of [1, 2, 3]) expect(map.push(bench.valueOf(value), 0n)).toBe(0);
      expect(map.push(bench.valueOf(4), 0n)).toBe(-ERRNO.E2BIG);
      expect(map.next(out, false)).toBe(0);
      expect(bench.word(out)).toBe(order[0]);
      expect([pop(), pop(), pop(), pop()]).toEqual([...order, null]);
      for (const value of [1, 2, 3]) map.push(bench.valueOf(value), 0n);
      expect(map.push(bench.valueOf(4), EXIST)).toBe(0);
      expect([pop(), pop(), pop()].sort()).toEqual([2, 3, 4]);
    });
});

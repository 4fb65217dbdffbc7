import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import type { MapDesc } from "../../src/maps/map.js";
import { StackFlag, type StackTraceMap } from "../../src/maps/stack-trace.js";
import { systemLookup, systemUpdate } from "../../src/maps/system.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { MapBench } from "./host.js";

/** A stack of so many addresses, which begins with `first`. */
const stack = (first: number, count = 4): Uint32Array =>
  Uint32Array.from({ length: 2 * count }, (_, k) => (k % 2 === 0 ? first + k : 0xffffffff));

const setUp = (change: Partial<MapDesc> = {}) => {
  const bench = new MapBench();
  const map = bench.create<StackTraceMap>({ type: MapType.StackTrace, valueSize: 32, maxEntries: 2, ...change });
  const words = (number: number): number[] | number => {
    const status = systemLookup(bench.host.arena, map, bench.keyOf(number), bench.value);
    if (status !== 0) return status;
    return Array.from({ length: map.desc.valueSize / 8 }, (_, k) => bench.host.arena.u32(bench.value + 8 * k));
  };
  return { bench, map, words };
};

describe("stacks", () => {
  test("the same has the same number, under which bpf(2) finds it", () => {
    const { map, words } = setUp();
    const number = map.insert(stack(100), 0);
    expect(number).toBeGreaterThanOrEqual(0);
    expect(map.insert(stack(100), 0)).toBe(number);
    expect(words(number)).toEqual([100, 102, 104, 106]);
    expect(words(number ^ 1)).toBe(-ERRNO.ENOENT);
  });

  test("are as deep as the value, the innermost addresses; what is not there is zeros", () => {
    const { map, words } = setUp();
    expect(words(map.insert(stack(100, 9), 0))).toEqual([100, 102, 104, 106]);
    const short = setUp();
    expect(short.words(short.map.insert(stack(100, 2), 0))).toEqual([100, 102, 0, 0]);
    expect(map.depth(3)).toBe(7);
  });

  test("without the innermost that are skipped; -EFAULT if that is all", () => {
    const { map, words } = setUp();
    expect(words(map.insert(stack(100, 9), 2))).toEqual([104, 106, 108, 110]);
    expect([4, 200].map((skip) => map.insert(stack(100, 4), skip))).toEqual([-ERRNO.EFAULT, -ERRNO.EFAULT]);
  });

  test("flags that bpf_get_stackid does not have: -EINVAL", () => {
    const { map } = setUp();
    for (const flags of [1 << 11, 1 << 20]) expect(map.insert(stack(1), flags)).toBe(-ERRNO.EINVAL);
    expect(map.insert(stack(1), StackFlag.UserStack)).toBeGreaterThanOrEqual(0);
  });

  test("another with the same number: -EEXIST, or it takes the place if that is allowed and there is room meanwhile", () => {
    const { map, words } = setUp({ maxEntries: 1 });
    expect(map.insert(stack(100), 0)).toBe(0);
    expect(map.insert(stack(300), 0)).toBe(-ERRNO.EEXIST);
    expect(map.insert(stack(300), StackFlag.ReuseStackid)).toBe(-ERRNO.ENOMEM);
    expect(words(0)).toEqual([100, 102, 104, 106]);
    const roomy = setUp({ maxEntries: 2 });
    const first = roomy.map.insert(stack(0), 0);
    const numberOf = (from: number): number => setUp({ maxEntries: 2 }).map.insert(stack(from), 0);
    const same = [1, 2, 3, 4, 5, 6, 7, 8].find((from) => numberOf(from) === first) as number;
    expect(roomy.map.insert(stack(same), 0)).toBe(-ERRNO.EEXIST);
    expect(roomy.map.insert(stack(same), StackFlag.ReuseStackid)).toBe(first);
    expect(roomy.words(first)).toEqual([same, same + 2, same + 4, same + 6]);
  });

  test("with BPF_F_FAST_STACK_CMP what has the same hash is taken for the same", () => {
    const { map } = setUp({ maxEntries: 1 });
    map.insert(stack(100), 0);
    expect(map.insert(stack(100), StackFlag.FastStackCmp)).toBe(0);
    // Another hash is another stack.
    expect(map.insert(stack(300), StackFlag.FastStackCmp)).toBe(-ERRNO.EEXIST);
  });

  test("programs read none, nobody writes any, and bpf(2) deletes: E2BIG beyond the numbers", () => {
    const { bench, map } = setUp({ maxEntries: 3 });
    const number = map.insert(stack(100), 0);
    expect(map.lookup()).toBe(-ERRNO.EOPNOTSUPP);
    expect(systemUpdate(map, bench.keyOf(number), bench.value, 0n)).toBe(-ERRNO.EINVAL);
    expect(map.delete(bench.keyOf(4))).toBe(-ERRNO.E2BIG);
    expect(map.delete(bench.keyOf(number))).toBe(0);
    expect(map.delete(bench.keyOf(number))).toBe(-ERRNO.ENOENT);
    expect(map.insert(stack(100), 0)).toBe(number);
  });

  test("come in the order of their numbers, and again from the first behind one that is gone", () => {
    const { bench, map } = setUp({ maxEntries: 64 });
    const numbers = new Set<number>();
    for (let k = 0; k < 20; k++) numbers.add(map.insert(stack(7 * k), StackFlag.ReuseStackid));
    const sorted = [...numbers].sort((a, b) => a - b);
    const next = bench.host.arena.alloc(8);
    const found: number[] = [];
    for (let at = 0; map.nextKey(at, next) === 0; at = next) found.push(bench.host.arena.u32(next));
    expect(found).toEqual(sorted);
    map.delete(bench.keyOf(sorted[3] as number));
    map.nextKey(bench.keyOf(sorted[3] as number), next);
    expect(bench.host.arena.u32(next)).toBe(sorted[0]);
  });

  test("with BPF_F_STACK_BUILD_ID have the status of a bare address, and need room before they are compared", () => {
    const { bench, map, words } = setUp({ flags: MapFlag.StackBuildId, valueSize: 64, maxEntries: 1 });
    const number = map.insert(stack(100), 0);
    // The status, 20 bytes of build id, and the address.
    expect(words(number)).toEqual([2, 0, 0, 100, 2, 0, 0, 102]);
    expect(map.insert(stack(100), 0)).toBe(-ERRNO.ENOMEM);
    expect(map.insert(stack(100), StackFlag.FastStackCmp)).toBe(0);
    bench.references.drop(map);
  });

  test("leave no memory behind", () => {
    const bench = new MapBench();
    const before = bench.host.arena.used;
    const map = bench.create<StackTraceMap>({ type: MapType.StackTrace, maxEntries: 8 });
    for (let k = 0; k < 20; k++) map.insert(stack(k), StackFlag.ReuseStackid);
    bench.references.drop(map);
    expect(bench.host.arena.used).toBe(before);
  });
});

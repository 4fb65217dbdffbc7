import { describe, expect, test } from "vitest";
import { KERNEL_HIGH } from "../../src/engine/layout.js";
import type { MapDesc, SpecialField } from "../../src/maps/map.js";
import { systemUpdate } from "../../src/maps/system.js";
import { pushToList } from "../../src/runtime/kfuncs/lists.js";
import type { ObjectLayout } from "../../src/runtime/program.js";
import { releaseFields } from "../../src/runtime/release-fields.js";
import { MapType } from "../../src/uapi/map-types.js";
import { MapBench } from "./host.js";

const POINTER: SpecialField = { kind: "kptr_ref", offset: 8, size: 8 };
const UPDATE_LOCKED = 4n;

/** A map whose host writes down the values that it is told to release. */
function noting(type: MapType, change: Partial<MapDesc> = {}) {
  const bench = new MapBench(2);
  const released: number[] = [];
  const host = { ...bench.host, releaseFields: (_: unknown, value: number) => void released.push(value) };
  Object.assign(bench, { host });
  const map = bench.create({ type, valueSize: 16, fields: { spinLock: 0, others: [POINTER] }, ...change });
  const put = (key: number, flags = 0n): number => map.update(bench.keyOf(key), bench.value, flags);
  const value = (key: number): number => map.lookup(bench.keyOf(key));
  return { bench, map, released, put, value };
}

describe("what the fields of a value hold goes", () => {
  test("when an element of a hash table is replaced or deleted", () => {
    const { bench, map, released, put, value } = noting(MapType.Hash);
    put(1);
    const [first] = [value(1)];
    put(1);
    expect(released).toEqual([first]);
    const second = value(1);
    map.delete(bench.keyOf(1));
    expect(released).toEqual([first, second]);
  });

  test("not when it is written in place under its lock", () => {
    const { released, put } = noting(MapType.Hash);
    put(1);
    expect(put(1, UPDATE_LOCKED)).toBe(0);
    expect(released).toEqual([]);
  });

  test("when a value of an array is written", () => {
    const { released, put, value } = noting(MapType.Array);
    put(1);
    expect(released).toEqual([value(1)]);
  });

  test("when there is no room for what was used least recently", () => {
    const { released, put, value } = noting(MapType.LruHash, {
      maxEntries: 1,
      fields: { spinLock: null, others: [POINTER] },
    });
    put(1);
    const first = value(1);
    put(2);
    expect(released).toEqual([first]);
  });

  test("for each CPU, of kinds that have values for each", () => {
    for (const type of [MapType.PercpuArray, MapType.PercpuHash]) {
      const { bench, map, released, put } = noting(type, { fields: { spinLock: null, others: [POINTER] } });
      put(1);
      released.length = 0;
      systemUpdate(map, bench.keyOf(1), bench.value, 0n);
      expect(new Set(released).size).toBe(2);
    }
  });

  test("when the map is freed, and not while a program runs", () => {
    const { bench, map, released, put, value } = noting(MapType.Hash);
    put(1);
    const held = value(1);
    bench.host.rcu.lock(() => {
      bench.references.drop(map);
      expect(released).toEqual([]);
    });
    expect(released).toEqual([held]);
  });

  test("of no map whose values are bytes and locks", () => {
    const { released, put } = noting(MapType.Array, { fields: { spinLock: 0 } });
    put(1);
    expect(released).toEqual([]);
  });
});

describe("released fields", () => {
  const PLAIN: ObjectLayout = { size: 64, refcount: null, lists: [], trees: [], objects: [] };

  const setUp = () => {
    const { arena, rcu } = new MapBench().host;
    const objects = new Map<number, ObjectLayout>();
    const value = arena.alloc(64);
    const before = arena.used;
    const make = (layout: ObjectLayout = PLAIN): number => {
      const at = arena.alloc(layout.size);
      objects.set(at, layout);
      return at;
    };
    const release = (...fields: SpecialField[]): void =>
      releaseFields({ arena, rcu, objects } as unknown as Parameters<typeof releaseFields>[0], fields, value);
    return { arena, objects, value, before, make, release };
  };

  test("a pointer to an object is zero then, and the object gone", () => {
    const { arena, value, before, make, release } = setUp();
    arena.setU32(value + 8, make());
    arena.setU32(value + 12, KERNEL_HIGH);
    release(POINTER);
    expect([arena.u32(value + 8), arena.u32(value + 12), arena.used]).toEqual([0, 0, before]);
  });

  test("an object that others refer to stays", () => {
    const { arena, objects, value, make, release } = setUp();
    const at = make({ ...PLAIN, refcount: 0 });
    arena.setU32(at, 2);
    arena.setU32(value + 8, at);
    arena.setU32(value + 12, KERNEL_HIGH);
    release(POINTER);
    expect([objects.has(at), arena.u32(at)]).toEqual([true, 1]);
  });

  test("a pointer to what is the kernel's is only forgotten", () => {
    const { arena, value, release } = setUp();
    arena.setU32(value + 8, 0x1000);
    arena.setU32(value + 12, 0xffff8880);
    release(POINTER);
    expect(arena.u32(value + 12)).toBe(0);
  });

  test("all that is in a list is gone", () => {
    const { arena, value, before, make, release } = setUp();
    for (let k = 0; k < 3; k++) pushToList(arena, value + 16, make() + 24, true);
    release({ kind: "bpf_list_head", offset: 16, size: 16 });
    expect(arena.used).toBe(before);
  });
});

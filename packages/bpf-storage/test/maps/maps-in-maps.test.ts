import { describe, expect, test, vi } from "vitest";
import { ERRNO } from "../../src/errors.js";
import type { Insn } from "../../src/isa/insn.js";
import { dumpMap } from "../../src/maps/dump.js";
import type { BpfMap, MapDesc } from "../../src/maps/map.js";
import { systemLookup } from "../../src/maps/system.js";
import { loadInsns } from "../../src/runtime/load-insns.js";
import { BpfRuntime } from "../../src/runtime/runtime.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { assemble } from "../engine/assemble.js";
import { MapBench } from "./host.js";

const OUTER = [MapType.ArrayOfMaps, MapType.HashOfMaps] as const;
const ARRAY: Partial<MapDesc> = { type: MapType.Array, maxEntries: 4 };
const HASH: Partial<MapDesc> = { type: MapType.Hash, maxEntries: 4 };

/** A bench where descriptors are numbers of maps. */
function withMaps(type: MapType, ...inner: Partial<MapDesc>[]) {
  const bench = new MapBench();
  const maps = inner.map((desc) => bench.create(desc));
  bench.descriptors = { ...bench.descriptors, map: (fd) => maps[fd] ?? -ERRNO.EBADF };
  const outer = bench.create({ type, keySize: 4, valueSize: 4, maxEntries: 2, inner: maps[0] });
  const put = (key: number, fd: number, flags = 0n) => outer.update(bench.keyOf(key), bench.valueOf(fd), flags);
  /** The place of the map that a key has, for bpf(2) by its number. */
  const told = (key: number): number => {
    const status = systemLookup(bench.host.arena, outer, bench.keyOf(key), bench.value);
    return status === 0 ? maps.findIndex(({ id }) => id === bench.word(bench.value)) : status;
  };
  return { bench, maps, outer, put, told };
}

describe.each(OUTER)("a map of maps of type %i", (type) => {
  test("holds maps by their descriptors, tells programs their pointers and bpf(2) their numbers", () => {
    const { bench, maps, outer, put, told } = withMaps(type, ARRAY, ARRAY);
    expect([put(0, 0), put(1, 1)]).toEqual([0, 0]);
    expect([told(0), told(1)]).toEqual([0, 1]);
    expect(outer.lookup(bench.keyOf(1))).toBe(maps[1]?.address);
    expect(outer.lookup(bench.keyOf(7))).toBe(0);
    expect(told(7)).toBe(-ERRNO.ENOENT);
  });

  test("that there is no memory for keeps nothing of it", () => {
    const { bench, maps } = withMaps(type, ARRAY);
    const before = bench.host.arena.used;
    const desc = { type, keySize: 4, valueSize: 4, maxEntries: 2 ** 28, inner: maps[0] };
    expect(bench.verdict(desc)).toBe("ENOMEM");
    expect(bench.host.arena.used).toBe(before);
  });

  test("refuses what is no map, and maps that are not like the one it was made with", () => {
    const { put } = withMaps(type, HASH, { ...HASH, valueSize: 4 }, { ...HASH, keySize: 8 }, ARRAY, {
      ...HASH,
      flags: MapFlag.NoPrealloc,
    });
    expect(put(0, 77)).toBe(-ERRNO.EBADF);
    for (const fd of [1, 2, 3, 4]) expect(put(0, fd)).toBe(-ERRNO.EINVAL);
  });

  test("refuses maps whose values hold other things, or elsewhere", () => {
    const locked = (spinLock: number) => ({ ...HASH, fields: { spinLock } });
    const { put } = withMaps(type, locked(0), locked(0), locked(4), HASH);
    expect([1, 2, 3].map((fd) => put(0, fd))).toEqual([0, -ERRNO.EINVAL, -ERRNO.EINVAL]);
  });

  test("counts elements of arrays only, unless those are made with BPF_F_INNER_MAP", () => {
    const sized = (desc: Partial<MapDesc>): number => withMaps(type, desc, { ...desc, maxEntries: 9 }).put(0, 1);
    expect(sized(ARRAY)).toBe(-ERRNO.EINVAL);
    expect(sized({ ...ARRAY, flags: MapFlag.InnerMap })).toBe(0);
    for (const other of [HASH, { type: MapType.PercpuArray }, { type: MapType.Queue, keySize: 0 }])
      expect(sized(other)).toBe(0);
  });

  test("is not made without an inner map, of maps of maps, or of programs", () => {
    const { bench, outer } = withMaps(type, ARRAY);
    const made = (inner: BpfMap | undefined) => bench.verdict({ type, valueSize: 4, inner });
    expect(made(undefined)).toBe("EBADF");
    expect(made(outer)).toBe("EINVAL");
    expect(made(bench.create({ type: MapType.ProgArray, valueSize: 4 }))).toBe("ENOTSUPP");
    expect(made(bench.create({ type: MapType.PerfEventArray, valueSize: 4 }))).toBe("made");
    // Its own sizes come first.
    expect(bench.verdict({ type, valueSize: 8 })).toBe("EINVAL");
  });

  test("keeps a map that its maker has freed, until it is taken out", () => {
    const { bench, maps, put, outer } = withMaps(type, ARRAY, ARRAY);
    const [, inner] = maps as [BpfMap, BpfMap];
    put(0, 1);
    put(1, 1);
    bench.references.drop(inner);
    expect(bench.maps.has(inner)).toBe(true);
    put(0, 0);
    expect(bench.maps.has(inner)).toBe(true);
    outer.delete(bench.keyOf(1));
    expect(bench.maps.has(inner)).toBe(false);
  });

  test("lets go of all that it holds when it is freed, and of nothing twice", () => {
    const { bench, maps, put, outer } = withMaps(type, ARRAY, ARRAY);
    put(0, 0);
    put(1, 1);
    put(1, 1);
    for (const map of maps) bench.references.drop(map);
    expect(bench.maps.size).toBe(3);
    bench.references.drop(outer);
    expect(bench.maps.size).toBe(0);
  });

  test("a map that does not go in is not held", () => {
    const { bench, maps, put } = withMaps(type, ARRAY, ARRAY);
    expect(put(0, 1, 3n)).toBe(-ERRNO.EINVAL);
    if (type === MapType.HashOfMaps) expect(put(0, 1, 2n)).toBe(-ERRNO.ENOENT);
    bench.references.drop(maps[1] as BpfMap);
    expect(bench.maps.has(maps[1] as BpfMap)).toBe(false);
  });

  test("a map that a program has found stays as long as the program runs", () => {
    const { bench, maps, put, outer } = withMaps(type, ARRAY, ARRAY);
    put(0, 1);
    bench.references.drop(maps[1] as BpfMap);
    const { arena, rcu } = bench.host;
    rcu.lock(() => {
      const inner = outer.lookup(bench.keyOf(0));
      outer.delete(bench.keyOf(0));
      const block = arena.alloc(64);
      expect(block).not.toBe(inner);
      expect(arena.u32(inner)).toBe(MapType.Array);
    });
  });

  test("shows what is in it: keys and numbers of maps", () => {
    const { maps, put, outer } = withMaps(type, ARRAY, ARRAY);
    put(1, 1);
    expect([...dumpMap(outer)].map(({ key, values }) => [key[0], values[0]?.[0]])).toEqual([[1, maps[1]?.id]]);
  });
});

describe("an array of maps", () => {
  test("takes no flags, and has its slots from the beginning", () => {
    const { bench, put, outer } = withMaps(MapType.ArrayOfMaps, ARRAY);
    expect([put(0, 0, 1n), put(2, 0), put(0, 77)]).toEqual([-ERRNO.EINVAL, -ERRNO.E2BIG, -ERRNO.EBADF]);
    expect([0, 2].map((key) => outer.delete(bench.keyOf(key)))).toEqual([-ERRNO.ENOENT, -ERRNO.E2BIG]);
  });
});

describe("a hash table of maps", () => {
  test("looks at the descriptor first, then at flags and room", () => {
    const { put } = withMaps(MapType.HashOfMaps, ARRAY);
    expect([put(0, 77, 9n), put(0, 0, 9n)]).toEqual([-ERRNO.EBADF, -ERRNO.EINVAL]);
    expect([put(0, 0), put(0, 0, 1n), put(1, 0), put(2, 0)]).toEqual([0, -ERRNO.EEXIST, 0, -ERRNO.E2BIG]);
  });
});

/** r0 is what the outer map's map for key 1 has for key 2: 1000 if there is no such map, 2000 without such a value. */
const NESTED = `
  stw [%r10-4], 1
  lddw %r1, 0
  mov %r2, %r10
  add %r2, -4
  call 1
  jne %r0, 0, found
  mov %r0, 1000
  exit
found:
  mov %r1, %r0
  stw [%r10-8], 2
  mov %r2, %r10
  add %r2, -8
  call 1
  jne %r0, 0, value
  mov %r0, 2000
  exit
value:
  ldxdw %r0, [%r0+0]
  exit`;

/** Map 0 in the first load of 64 bits. */
function namingMap(insns: readonly Insn[]): Insn[] {
  const first = insns.findIndex(({ code }) => code === 0x18);
  return insns.map((insn, pc) => (pc === first ? { ...insn, src: 1 } : insn));
}

describe.each(["jit", "interpreter"] as const)("%s: a program", (engine) => {
  for (const type of OUTER)
    for (const desc of [ARRAY, HASH, { type: MapType.PercpuArray, maxEntries: 4 }, { type: MapType.PercpuHash }])
      test(`finds values in maps of type ${desc.type} in a map of type ${type} without a call of JavaScript`, () => {
        const runtime = new BpfRuntime({ engine });
        const { arena } = runtime;
        const plain = { name: "m", keySize: 4, valueSize: 8, maxEntries: 4, flags: 0 };
        const inner = runtime.createMap({ ...plain, type: MapType.Array, ...desc });
        const outer = runtime.createMap({ ...plain, type, valueSize: 4, inner });
        runtime.descriptors = { ...runtime.descriptors, map: () => inner };
        const program = loadInsns(runtime, {
          ...{ name: "nested", type: ProgramType.SocketFilter, insns: namingMap(assemble(NESTED)) },
          map: () => outer,
        });
        const context = arena.alloc(192);
        const [key, value] = [arena.alloc(8), arena.alloc(8)];
        expect(program.run(context)).toBe(1000);
        arena.setU32(key, 1);
        outer.update(key, value, 0n);
        const present = desc.type === MapType.Array || desc.type === MapType.PercpuArray;
        expect(program.run(context)).toBe(present ? 0 : 2000);
        arena.setU32(key, 2);
        arena.setU32(value, 42);
        inner.update(key, value, 0n);
        const asked = [outer, inner].map((map) => vi.spyOn(map, "lookup"));
        expect(program.run(context)).toBe(42);
        for (const lookup of asked) expect(lookup).not.toHaveBeenCalled();
      });
});

test("a runtime frees a map when neither its maker nor another map holds it, and no program runs", () => {
  const runtime = new BpfRuntime();
  const { arena } = runtime;
  const plain = { name: "m", keySize: 4, valueSize: 4, maxEntries: 2, flags: 0 };
  const before = arena.used;
  const inner = runtime.createMap({ ...plain, type: MapType.Array });
  const outer = runtime.createMap({ ...plain, type: MapType.ArrayOfMaps, inner });
  runtime.descriptors = { ...runtime.descriptors, map: () => inner };
  const key = arena.alloc(8);
  outer.update(key, key, 0n);
  runtime.freeMap(inner);
  expect(runtime.maps.has(inner.id)).toBe(true);
  runtime.rcu.lock(() => {
    runtime.freeMap(outer);
    expect(runtime.maps.size).toBe(0);
    expect(arena.used).toBeGreaterThan(before + 32);
  });
  arena.free(key);
  expect(arena.used).toBe(before);
});

import { describe, expect, test } from "vitest";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { MapBench } from "./host.js";

const HASHES = [MapType.Hash, MapType.PercpuHash, MapType.LruHash, MapType.LruPercpuHash];
const ARRAYS = [MapType.Array, MapType.PercpuArray];
const QUEUES = [MapType.Queue, MapType.Stack];
const SLOTS = [MapType.ProgArray, MapType.PerfEventArray, MapType.CgroupArray];
const bench = new MapBench(2);
const trie = { type: MapType.LpmTrie, keySize: 8, flags: MapFlag.NoPrealloc };

describe("of all kinds", () => {
  test("map_extra is a bloom filter's, which has up to 15 hash functions", () => {
    for (const type of [...HASHES, ...ARRAYS]) expect(bench.verdict({ type, extra: 1n })).toBe("EINVAL");
    const bloom = { type: MapType.BloomFilter, keySize: 0 };
    expect([0n, 1n, 15n, 16n].map((extra) => bench.verdict({ ...bloom, extra }))).toEqual([
      ...["made", "made", "made", "EINVAL"],
    ]);
  });

  test("a map is not read-only and write-only at once, for who opens it or for programs", () => {
    for (const type of [...HASHES, ...ARRAYS])
      for (const both of [MapFlag.Rdonly | MapFlag.Wronly, MapFlag.RdonlyProg | MapFlag.WronlyProg])
        expect(bench.verdict({ type, flags: both })).toBe("EINVAL");
  });

  test("how it is opened is not among the flags that a map keeps", () => {
    const map = bench.create({ flags: MapFlag.Rdonly | MapFlag.RdonlyProg });
    expect(map.desc.flags).toBe(MapFlag.RdonlyProg);
    bench.references.drop(map);
  });

  test("with BPF_F_NUMA_NODE a node that is there is named, or any; without it the number does not count", () => {
    const on = (numaNode: number, flags = MapFlag.NumaNode): string => bench.verdict({ numaNode, flags });
    expect([on(0), on(-1), on(1), on(1, 0)]).toEqual(["made", "made", "EINVAL", "made"]);
  });

  test("what is for each CPU is on no node", () => {
    for (const type of [MapType.PercpuArray, MapType.PercpuHash]) {
      expect(bench.verdict({ type, flags: MapFlag.NumaNode })).toBe("EINVAL");
      expect(bench.verdict({ type, flags: MapFlag.NumaNode, numaNode: -1 })).toBe("made");
    }
  });

  test("kinds that need devices, sockets or a kernel are refused with what they need", () => {
    const wanted: readonly [MapType, RegExp][] = [
      [MapType.Devmap, /type Devmap, which needs network devices/],
      [MapType.Sockhash, /needs sockets/],
      [MapType.UserRingbuf, /needs records that are written from outside/],
      [MapType.StructOps, /needs operations of a kernel/],
    ];
    for (const [type, sentence] of wanted) expect(() => bench.create({ type })).toThrow(sentence);
    expect(bench.verdict({ type: 99 as MapType })).toBe("EINVAL");
  });
});

describe("a hash table", () => {
  test("has keys of any size, which are less than 4 MiB - 48 with the value", () => {
    expect(bench.verdict({ keySize: 513 })).toBe("made");
    const most = (4 << 20) - 48 - 4;
    expect([most - 1, most].map((valueSize) => bench.verdict({ valueSize }))).toEqual(["made", "E2BIG"]);
  });

  test("has values of up to 32 KiB for each CPU", () => {
    for (const type of [MapType.PercpuHash, MapType.LruPercpuHash])
      expect([32768, 32769].map((valueSize) => bench.verdict({ type, valueSize }))).toEqual(["made", "E2BIG"]);
  });

  test("of the least recently used is allocated at once: ENOTSUPP", () => {
    for (const type of [MapType.LruHash, MapType.LruPercpuHash])
      expect(bench.verdict({ type, flags: MapFlag.NoPrealloc })).toBe("ENOTSUPP");
    expect(bench.verdict({ flags: MapFlag.NoPrealloc })).toBe("made");
  });

  test("has lists for each CPU only if it is one of the least recently used, then with as many elements for each", () => {
    expect(bench.verdict({ flags: MapFlag.NoCommonLru })).toBe("EINVAL");
    const map = bench.create({ type: MapType.LruHash, flags: MapFlag.NoCommonLru, maxEntries: 5 });
    expect(map.desc.maxEntries).toBe(6);
    bench.references.drop(map);
  });

  test("has at most 2^31 elements", () => {
    expect(bench.verdict({ maxEntries: 2 ** 31 + 1 })).toBe("E2BIG");
  });

  test("cannot be mapped, be an array's inner map, or keep elements", () => {
    for (const flags of [MapFlag.Mmapable, MapFlag.InnerMap, MapFlag.PreserveElems, MapFlag.StackBuildId])
      expect(bench.verdict({ flags })).toBe("EINVAL");
  });
});

describe("an array", () => {
  test("has keys of 4 bytes, values and elements", () => {
    for (const type of ARRAYS)
      for (const change of [{ keySize: 8 }, { valueSize: 0 }, { maxEntries: 0 }])
        expect(bench.verdict({ type, ...change })).toBe("EINVAL");
  });

  test("has values below 2 GiB, which need not fit: ENOMEM", () => {
    const array = { type: MapType.Array, maxEntries: 1 };
    expect(bench.verdict({ ...array, valueSize: 0x80000000 })).toBe("E2BIG");
    expect(bench.verdict({ ...array, valueSize: 0x7fffffff })).toBe("ENOMEM");
    expect(bench.verdict({ ...array, valueSize: (4 << 20) + 8 })).toBe("made");
  });

  test("can be mapped or be an inner map of any size, if not for each CPU", () => {
    for (const flags of [MapFlag.Mmapable, MapFlag.InnerMap]) {
      expect(bench.verdict({ type: MapType.Array, flags })).toBe("made");
      expect(bench.verdict({ type: MapType.PercpuArray, flags })).toBe("EINVAL");
    }
  });

  test("of objects has values of 4 bytes, and no flags about programs", () => {
    for (const type of SLOTS) {
      expect(bench.verdict({ type, valueSize: 4 })).toBe("made");
      expect(bench.verdict({ type, valueSize: 8 })).toBe("EINVAL");
      for (const flags of [MapFlag.RdonlyProg, MapFlag.WronlyProg])
        expect(bench.verdict({ type, valueSize: 4, flags })).toBe("EINVAL");
    }
  });

  test("keeps elements if it is one of perf events", () => {
    const made = (type: MapType): string => bench.verdict({ type, valueSize: 4, flags: MapFlag.PreserveElems });
    expect(SLOTS.map(made)).toEqual(["EINVAL", "made", "EINVAL"]);
  });
});

describe("a trie", () => {
  test("has keys of 5 to 260 bytes, and takes memory as it needs it", () => {
    expect([4, 5, 260, 261].map((keySize) => bench.verdict({ ...trie, keySize }))).toEqual([
      ...["EINVAL", "made", "made", "EINVAL"],
    ]);
    expect(bench.verdict({ ...trie, flags: 0 })).toBe("EINVAL");
  });

  test("has values and elements, and no flags of hash tables", () => {
    for (const change of [{ valueSize: 0 }, { valueSize: 4 << 20 }, { maxEntries: 0 }])
      expect(bench.verdict({ ...trie, ...change })).toBe("EINVAL");
    expect(bench.verdict({ ...trie, flags: trie.flags | MapFlag.ZeroSeed })).toBe("EINVAL");
  });
});

describe("a queue or a stack", () => {
  test("has no keys, and values of up to 4 MiB that make less than 4 GiB", () => {
    for (const type of QUEUES) {
      const made = (change: object): string => bench.verdict({ type, keySize: 0, ...change });
      expect(made({})).toBe("made");
      expect([made({ keySize: 4 }), made({ valueSize: 0 }), made({ maxEntries: 0 })]).toEqual([
        ...["EINVAL", "EINVAL", "EINVAL"],
      ]);
      expect(made({ valueSize: (4 << 20) + 1 })).toBe("E2BIG");
      expect(made({ valueSize: 8, maxEntries: 0x1fffffff })).toBe("E2BIG");
      expect(made({ valueSize: 8, maxEntries: 0x1ffffffe })).toBe("ENOMEM");
      expect(made({ flags: MapFlag.NoPrealloc })).toBe("EINVAL");
    }
  });
});

describe("a ring buffer", () => {
  test("knows no flags but the node", () => {
    const ring = { type: MapType.Ringbuf, keySize: 0, valueSize: 0, maxEntries: 4096 };
    expect(bench.verdict({ ...ring, flags: MapFlag.NumaNode })).toBe("made");
    for (const flags of [MapFlag.Rdonly, MapFlag.RdonlyProg, MapFlag.NoPrealloc])
      expect(bench.verdict({ ...ring, flags })).toBe("EINVAL");
  });

  test("that the memory cannot hold twice is no bad argument: ENOMEM", () => {
    const ring = { type: MapType.Ringbuf, keySize: 0, valueSize: 0 };
    expect(bench.verdict({ ...ring, maxEntries: 2 ** 31 })).toBe("ENOMEM");
  });
});

describe("stacks", () => {
  const stacks = (valueSize: number, flags = 0): string =>
    bench.verdict({ type: MapType.StackTrace, valueSize, flags });

  test("have up to 127 addresses of 8 bytes", () => {
    expect([8, 127 * 8].map((size) => stacks(size))).toEqual(["made", "made"]);
    expect([0, 4, 12, 128 * 8].map((size) => stacks(size))).toEqual(["EINVAL", "EINVAL", "EINVAL", "EINVAL"]);
  });

  test("or as many build ids, of 32 bytes", () => {
    const ids = (size: number): string => stacks(size, MapFlag.StackBuildId);
    expect([32, 127 * 32, 24, 128 * 32].map(ids)).toEqual(["made", "made", "EINVAL", "EINVAL"]);
  });

  test("are not for programs to read or write", () => {
    expect([MapFlag.RdonlyProg, MapFlag.NoPrealloc, MapFlag.Rdonly].map((flags) => stacks(8, flags))).toEqual([
      ...["EINVAL", "EINVAL", "made"],
    ]);
  });
});

import { BpfRuntime } from "@vm/bpf-storage";
import { describe, expect, it } from "vitest";
import { makeMaps } from "../../src/cli/bpf/flag-maps.js";
import { parseMaps } from "../../src/cli/bpf/maps-flag.js";
import { UsageError } from "../../src/cli/errors.js";

const HASH = { type: "hash", key_size: 4, value_size: 8, max_entries: 2 };

/** What is said about maps that cannot be. */
function refusal(maps: unknown): string {
  try {
    makeMaps(new BpfRuntime(), parseMaps(JSON.stringify(maps)));
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "made";
}

describe("--maps", () => {
  it("what is wrong is told in a line: where, what, and what would be accepted", () => {
    const cases: readonly [maps: unknown, line: RegExp][] = [
      [[{ ...HASH, type: "hush" }], /--maps: "type" of map 0: expected one of hash, array, /],
      [[HASH, { ...HASH, keysize: 4 }], /--maps: map 1: "keysize": expected one of type, name, /],
      [[{ ...HASH, bytes_key: 4 }], /--maps: map 0: "key_size" and "bytes_key": expected one of them/],
      [[{ ...HASH, flags: ["MMAP"] }], /"flags" of map 0: expected a number, or a list of NoPrealloc, /],
      [
        [{ ...HASH, flags: 1024 }],
        /map 0 \(map0\): EINVAL: flags 0x400 of a hash table: expected some of NoPrealloc, /,
      ],
      [[{ ...HASH, type: "lru_hash", flags: 1 }], /ENOTSUPP: a table of the least recently used with NoPrealloc/],
      [[{ ...HASH, type: "devmap" }], /EINVAL: a map of type Devmap, which needs network devices/],
      [[{ ...HASH, inner: HASH }], /"inner" of map 0: expected none, unless it is a map of maps/],
      [
        [{ type: "hash_of_maps", key_size: 4, max_entries: 1 }],
        /"inner" of map 0: expected what the maps in it are like/,
      ],
      [
        [{ ...HASH, elements: [{ key: "01", value: "02" }] }],
        /"key" of map 0: "elements"\[0\]: expected 4 bytes and not 1/,
      ],
      [[{ ...HASH, elements: [{ key: "0g", value: "02" }] }], /expected bytes in hexadecimal/],
      [
        [{ ...HASH, fields: [{ kind: "kptr" }] }],
        /"fields" of map 0: expected a list such as .*kinds are bpf_spin_lock, /,
      ],
      [
        [{ ...HASH, fields: [{ kind: "bpf_timer", offset: 0 }] }],
        /expected the offset of bpf_timer in a value of 8 bytes/,
      ],
      [[{ ...HASH, data: "00" }], /"data" of map 0: expected none, unless it is an array of one value/],
      [[{ ...HASH, fd: 1 }, HASH], /map 1: "fd" 1 is another map's/],
      [{ ...HASH }, /--maps: expected a list such as/],
    ];
    for (const [maps, line] of cases) {
      expect(refusal(maps)).toMatch(line);
      expect(refusal(maps)).not.toMatch(/\n/);
    }
    const full = [1, 2, 3].map((key) => ({ key: [key, 0, 0, 0], value: "0000000000000000" }));
    expect(refusal([{ ...HASH, elements: full }])).toMatch(/"elements"\[2\]: E2BIG: expected at most 2 elements/);
    const other = { type: "array_of_maps", key_size: 4, max_entries: 1, inner: { ...HASH, key_size: 8 } };
    expect(refusal([HASH, { ...other, elements: [{ key: "00000000", value: 0 }] }])).toMatch(
      /EINVAL: expected a map as "inner" describes/,
    );
    expect(refusal([{ ...other, elements: [{ key: "00000000", value: "none" }] }])).toMatch(
      /no map none: expected the name or the fd of one of map0/,
    );
  });

  it("takes every kind of map by every spelling of its name", () => {
    for (const type of ["lru_percpu_hash", "LRU_PERCPU_HASH", "BPF_MAP_TYPE_LRU_PERCPU_HASH", "LruPercpuHash", 10])
      expect(parseMaps(JSON.stringify([{ ...HASH, type }]))[0]).toMatchObject({ type: 10, keySize: 4, maxEntries: 2 });
  });

  it("flags are a number or names", () => {
    const flags = (told: unknown): number | undefined =>
      parseMaps(JSON.stringify([{ ...HASH, flags: told }]))[0]?.flags;
    expect([flags(129), flags(["BPF_F_NO_PREALLOC", "RdonlyProg"]), flags(["no_prealloc"]), flags([])]).toEqual([
      129, 129, 1, 0,
    ]);
  });

  it("a runtime keeps of maps of maps what is in them, and not what only shows what that is like", () => {
    const runtime = new BpfRuntime();
    const outer = { type: "hash_of_maps", key_size: 4, max_entries: 2, inner: HASH };
    makeMaps(runtime, parseMaps(JSON.stringify([{ ...outer, elements: [{ key: [1, 0, 0, 0], value: 1 }] }, HASH])));
    expect([...runtime.maps.values()].map(({ desc }) => desc.name)).toEqual(["map0", "map1"]);
  });
});

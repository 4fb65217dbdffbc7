import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { dumpMap } from "../../src/maps/dump.js";
import { makeContext } from "../../src/runtime/context.js";
import { loadInto } from "../../src/runtime/load-object.js";
import { BpfRuntime } from "../../src/runtime/runtime.js";
import { ProgramType } from "../../src/uapi/program-types.js";

const OBJECT = readFileSync(new URL("programs/maps-in-maps.bpf.o", import.meta.url));

const setUp = () => {
  const runtime = new BpfRuntime();
  const loaded = loadInto(runtime, OBJECT);
  const { address } = makeContext(runtime.arena, ProgramType.SocketFilter, new Uint8Array(64));
  const run = (name: string): number => {
    const found = loaded.programs.find(({ from }) => from.name === name);
    return found?.program.run(address) ?? -1;
  };
  return { runtime, loaded, run };
};

describe("an object of clang's", () => {
  test("has maps in its maps from the beginning, and its programs find their values", () => {
    const { runtime, loaded, run } = setUp();
    // Map `two` is in both, and no map in slot 1.
    expect([run("counting"), run("counting")]).toEqual([1 + 100 + 2000, 2 + 300 + 4000]);
    const { one, two } = Object.fromEntries(loaded.maps);
    const values = [one, two].map((map) => [...dumpMap(map as never)].map(({ values: [value] }) => value?.[0]));
    expect(values).toEqual([
      [0, 2],
      [0, 4],
    ]);
    const shown = [...dumpMap(loaded.maps.get("by_index") as never)].map(({ key, values: [value] }) => [
      key[0],
      value?.[0],
    ]);
    expect(shown).toEqual([
      [0, one?.id],
      [2, two?.id],
    ]);
    // What only shows the kind of the maps inside is gone.
    expect(runtime.maps.size).toBe(loaded.maps.size);
  });

  test("finds the longest prefix in a trie", () => {
    const { runtime, loaded, run } = setUp();
    const { arena } = runtime;
    expect(run("routing")).toBe(0);
    const [key, value] = [arena.alloc(8), arena.alloc(8)];
    for (const [length, route] of [
      [8, 7],
      [24, 9],
    ] as const) {
      arena.setU32(key, length);
      arena.u8.set([10, 1, 2, 0], key + 4);
      arena.setU32(value, route);
      expect(loaded.maps.get("routes")?.update(key, value, 0n)).toBe(0);
    }
    expect(run("routing")).toBe(9);
    arena.setU32(key, 24);
    loaded.maps.get("routes")?.delete(key);
    expect(run("routing")).toBe(7);
  });

  test("has a bloom filter with as many hash functions as it wants", () => {
    const { loaded, run } = setUp();
    expect(loaded.maps.get("seen")?.desc.extra).toBe(3n);
    expect([run("seeing"), run("seeing")]).toEqual([0, 1]);
  });
});

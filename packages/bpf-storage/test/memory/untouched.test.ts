import { afterEach, describe, expect, test, vi } from "vitest";
import { BpfRuntime, loadInTurns, loadInto, loadObject, MapType } from "../../src/index.js";
import type { HashMap } from "../../src/maps/hash.js";
import { Arena } from "../../src/memory/arena.js";
import { MapBench } from "../maps/host.js";
import { insn, ObjectBuilder } from "../object/object-builder.js";

/** Sizes that objects and callers name cost nothing: what is zeros is not written, nor is read what nothing is in. */

/** Bytes that are written in blocks, whatever the memory. */
function countWritten(): () => number {
  let written = 0;
  const { fill, set, copyWithin } = Uint8Array.prototype;
  vi.spyOn(Uint8Array.prototype, "fill").mockImplementation(function (this: Uint8Array, value, start = 0, end) {
    written += Math.max(0, (end ?? this.length) - start);
    return fill.call(this, value, start, end);
  });
  vi.spyOn(Uint8Array.prototype, "set").mockImplementation(function (this: Uint8Array, from, at) {
    written += from.length;
    set.call(this, from, at);
  });
  vi.spyOn(Uint8Array.prototype, "copyWithin").mockImplementation(function (this: Uint8Array, to, start, end) {
    written += Math.max(0, (end ?? this.length) - start);
    return copyWithin.call(this, to, start, end);
  });
  return () => written;
}

afterEach(() => void vi.restoreAllMocks());

const SMALL = 2 << 20;

describe("memory that growing brings", () => {
  test("is zeros, and is not written to", () => {
    const arena = new Arena({ limit: 128 << 20 });
    const written = countWritten();
    const block = arena.alloc(24 << 20);
    expect(written()).toBeLessThan(SMALL);
    expect(arena.u8.subarray(block, block + (24 << 20)).every((byte) => byte === 0)).toBe(true);
  });

  test("is zeros too where someone has written to it before it was a block, and where it was one", () => {
    const arena = new Arena();
    arena.u8.fill(0xff, arena.alloc(16) + 16);
    const blocks = [arena.alloc(500_000), arena.alloc(4 << 20)];
    for (const [k, size] of [500_000, 4 << 20].entries()) {
      const block = blocks[k] as number;
      expect(arena.u8.subarray(block, block + size).every((byte) => byte === 0)).toBe(true);
      arena.u8.fill(0xff, block, block + size);
      arena.free(block);
      const again = arena.alloc(size);
      expect(again).toBe(block);
      expect(arena.u8.subarray(again, again + size).every((byte) => byte === 0)).toBe(true);
    }
  });
});

/** An object with a section of data, whose program does nothing. */
function withData(...sections: ({ name: string } & ({ zeros: number } | { data: Uint8Array }))[]): Uint8Array {
  const build = new ObjectBuilder();
  build.elf.sections.push(...sections);
  build.add({ name: "nothing", section: "syscall", insns: [insn.mov(0, 0), insn.exit()] });
  return build.build();
}

describe("an object", () => {
  test("is loaded without a write to its zeros", () => {
    const bytes = withData({ name: ".bss", zeros: 40 << 20 });
    const runtime = new BpfRuntime({ arena: new Arena({ limit: 64 << 20 }) });
    const written = countWritten();
    const { maps } = loadInto(runtime, bytes);
    expect(maps.get(".bss")?.desc.valueSize).toBe(40 << 20);
    expect(written()).toBeLessThan(SMALL);
  });

  test("has its data in the map, all of it, at once or in turns", async () => {
    const data = Uint8Array.from({ length: 300_001 }, (_, k) => (k * 7) & 0xff);
    const bytes = withData({ name: ".data", data }, { name: ".bss", zeros: 8 });
    const runtime = new BpfRuntime();
    const loaded = [loadInto(runtime, bytes), await loadInTurns(runtime, bytes)];
    for (const { maps } of loaded) {
      const map = maps.get(".data");
      const value = map?.lookup(runtime.arena.alloc(4)) ?? 0;
      const there = runtime.arena.read(value, data.length);
      expect(there.every((byte, k) => byte === data[k])).toBe(true);
    }
  });

  test("is loaded in turns as it was when that began, whatever becomes of the bytes", async () => {
    const bytes = withData({ name: ".rodata", data: new Uint8Array(64).fill(7) });
    const runtime = new BpfRuntime();
    const loading = loadInTurns(runtime, bytes);
    bytes.fill(0);
    const value = (await loading).maps.get(".rodata")?.lookup(runtime.arena.alloc(4)) ?? 0;
    expect(runtime.arena.read(value, 64)).toEqual(new Uint8Array(64).fill(7));
  });

  test("whose sections share their bytes is refused, where that would be more data than it has", () => {
    const bytes = withData(
      ...Array.from({ length: 8 }, (_, k) => ({ name: `.data.${k}`, data: new Uint8Array(k === 0 ? 100_000 : 1) })),
    );
    const [first, ...others] = loadObject(bytes).parts.elf.sections.filter(({ name }) => name.startsWith(".data."));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const headers = Number(view.getBigUint64(40, true));
    const header = (index: number): number => headers + 64 * index;
    for (const { index } of others)
      for (const field of [24, 32])
        view.setBigUint64(header(index) + field, view.getBigUint64(header(first?.index ?? 0) + field, true), true);

    expect(() => loadObject(bytes)).toThrow(/800000 bytes of data that are not zeros/);
  });
});

describe("a large map with little in it", () => {
  test("is gone through and freed without a look at the rest", () => {
    const bench = new MapBench();
    const map = bench.create<HashMap>({ maxEntries: 1 << 22 });
    const keys = [1, 77, 123_456_789];
    for (const key of keys) map.update(bench.keyOf(key), bench.valueOf(key), 0n);
    const reads = vi.spyOn(bench.host.arena, "u32");
    const found: number[] = [];
    const next = bench.host.arena.alloc(4);
    for (let key = 0; map.nextKey(key, next) === 0; key = next) found.push(bench.host.arena.view.getUint32(next, true));
    expect(found.sort((a, b) => a - b)).toEqual(keys);
    map.free();
    expect(reads.mock.calls.length).toBeLessThan(40_000);
  });

  test("of objects is cleared where there are some", () => {
    const bench = new MapBench();
    const map = bench.create({ type: MapType.ProgArray, valueSize: 4, maxEntries: 1 << 22, flags: 0 });
    const writes = vi.spyOn(bench.host.arena, "setU32");
    map.system?.clear?.();
    map.free();
    expect(writes.mock.calls.length).toBeLessThan(100);
  });
});

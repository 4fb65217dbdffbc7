import { describe, expect, test } from "vitest";
import { Command, ERRNO, MapFlag, MapType, ProgramType } from "../../src/index.js";
import { Caller } from "./caller.js";
import { storageTypes } from "./storage-types.js";

const { EINVAL, ENOENT, EBADF, EPERM, E2BIG, EBUSY, ENOTSUPP } = ERRNO;

describe("elements", () => {
  test("values of per-CPU kinds are those of all CPUs, each a multiple of 8 bytes", () => {
    for (const type of [MapType.PercpuArray, MapType.PercpuHash, MapType.LruPercpuHash]) {
      const caller = new Caller({ cpus: 3 });
      const map = caller.mapCreate(type, 4, 5, 4);
      const value = caller.put(Uint8Array.from({ length: 24 }, (_, k) => k + 1));
      const [key, out] = [caller.words(1), caller.room(24)];
      expect(caller.update(map, key, value)).toBe(0);
      expect(caller.lookup(map, key, out)).toBe(0);
      expect([...caller.bytes(out, 5), ...caller.bytes(out + 8, 5), ...caller.bytes(out + 16, 5)]).toEqual([
        ...[1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 17, 18, 19, 20, 21],
      ]);
    }
  });

  test("a descriptor that is open for reading does not write, nor the other way", () => {
    const caller = new Caller();
    const [key, value] = [caller.words(0), caller.words(1)];
    const [reads, writes] = [MapFlag.Rdonly, MapFlag.Wronly].map((flag) =>
      caller.mapCreate(MapType.Array, 4, 4, 1, { 16: flag }),
    ) as [number, number];
    expect(caller.update(reads, key, value)).toBe(-EPERM);
    expect(caller.lookup(reads, key, value)).toBe(0);
    expect(caller.update(writes, key, value)).toBe(0);
    expect(caller.lookup(writes, key, value)).toBe(-EPERM);
    expect(caller.nextKey(writes, 0, value)).toBe(-EPERM);
    expect(caller.mapCreate(MapType.Array, 4, 4, 1, { 16: MapFlag.Rdonly | MapFlag.Wronly })).toBe(-EINVAL);
    const again = caller.call(Command.MapGetFdById, { 0: 1, 8: MapFlag.Wronly });
    expect(caller.lookup(again, key, value)).toBe(-EPERM);
  });

  test("queues give and take without keys", () => {
    const caller = new Caller();
    const map = caller.mapCreate(MapType.Queue, 0, 4, 2);
    const take = (key = 0) => {
      const at = caller.room(4);
      const status = caller.call(Command.MapLookupAndDeleteElem, { 0: map, 8: BigInt(key), 16: BigInt(at) });
      return status < 0 ? status : caller.u32(at);
    };
    for (const word of [5, 6]) expect(caller.update(map, 0, caller.words(word))).toBe(0);
    expect(caller.update(map, 0, caller.words(7))).toBe(-E2BIG);
    expect(caller.update(map, caller.words(0), caller.words(7))).toBe(-EINVAL);
    expect([take(), take(caller.words(0)), take(), take()]).toEqual([5, -EINVAL, 6, -ENOENT]);
  });

  test("batches of a hash table take whole buckets, and say where they stopped", () => {
    const caller = new Caller();
    const map = caller.mapCreate(MapType.Hash, 4, 4, 8);
    const keys = caller.words(1, 2, 3, 4, 5, 6, 7, 8);
    const values = caller.words(11, 12, 13, 14, 15, 16, 17, 18);
    const update = caller.attributes({ 16: BigInt(keys), 24: BigInt(values), 32: 8, 36: map });
    expect(caller.at(Command.MapUpdateBatch, update, 152)).toBe(0);
    expect(caller.u32(update + 32)).toBe(8);
    const [place, outKeys, outValues] = [caller.room(4), caller.room(32), caller.room(32)];
    const found = new Map<number, number>();
    let status = 0;
    for (let from = 0n, rounds = 0; status === 0 && rounds < 20; from = BigInt(place), rounds++) {
      const fields = { 0: from, 8: BigInt(place), 16: BigInt(outKeys), 24: BigInt(outValues), 32: 4, 36: map };
      const attr = caller.attributes(fields);
      status = caller.at(Command.MapLookupBatch, attr, 152);
      for (let k = 0; k < caller.u32(attr + 32); k++)
        found.set(caller.u32(outKeys + 4 * k), caller.u32(outValues + 4 * k));
    }
    expect(status).toBe(-ENOENT);
    expect([...found].sort(([a], [b]) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((key) => [key, key + 10]));
    const none = caller.attributes({ 8: BigInt(place), 16: BigInt(outKeys), 24: BigInt(outValues), 32: 0, 36: map });
    expect(caller.at(Command.MapLookupBatch, none, 152)).toBe(0);
  });

  test("a frozen map is read only, and one that somebody may write to by a mapping cannot be frozen", () => {
    const caller = new Caller();
    const map = caller.mapCreate(MapType.Array, 4, 8, 2, { 16: MapFlag.Mmapable });
    const file = caller.files.get(map);
    if (file === undefined) throw new RangeError("no map");
    const whole = { offset: 0, length: 4096, write: true, shared: true };
    const mapping = caller.syscalls.mmap(file, whole);
    if (typeof mapping === "number") throw new RangeError(`${mapping}`);
    expect(mapping.parts).toEqual([{ kind: "bytes", at: 0, size: 16, address: expect.any(Number) }]);
    expect(caller.call(Command.MapFreeze, { 0: map })).toBe(-EBUSY);
    mapping.close();
    expect(caller.call(Command.MapFreeze, { 0: map })).toBe(0);
    expect(caller.update(map, caller.words(0), caller.words(1, 2))).toBe(-EPERM);
    expect(caller.syscalls.mmap(file, whole)).toBe(-EPERM);
    expect(caller.syscalls.mmap(file, { ...whole, shared: false })).toBe(-EINVAL);
    expect(caller.syscalls.mmap(file, { ...whole, write: false, length: 8192 })).toBe(-EINVAL);
  });

  test("a ring buffer is mapped as positions and records, and only where its reader is can be written", () => {
    const caller = new Caller();
    const map = caller.mapCreate(MapType.Ringbuf, 0, 0, 4096);
    const file = caller.files.get(map);
    if (file === undefined) throw new RangeError("no map");
    const ask = (offset: number, length: number, write: boolean) => {
      const mapping = caller.syscalls.mmap(file, { offset, length, write, shared: true });
      return typeof mapping === "number"
        ? mapping
        : mapping.parts.map((part) => (part.kind === "bytes" ? part.size : part.of));
    };
    expect(ask(0, 4096, true)).toEqual(["consumer"]);
    expect(ask(4096, 4096, true)).toBe(-EPERM);
    expect(ask(4096, 4096 + 8192, false)).toEqual(["producer", 8192]);
    expect(ask(4096, 4096 + 12288, false)).toBe(-EINVAL);
    expect(
      caller.syscalls.mmap(caller.files.get(caller.mapCreate(MapType.Hash, 4, 4, 1)) as typeof file, {
        offset: 0,
        length: 4096,
        write: false,
        shared: true,
      }),
    ).toBe(-ENOTSUPP);
  });
});

describe("maps of maps", () => {
  test.each([MapType.ArrayOfMaps, MapType.HashOfMaps])(
    "type %i takes descriptors, gives ids, and keeps what it holds",
    (type) => {
      const caller = new Caller();
      const before = caller.arena.used;
      const like = caller.mapCreate(MapType.Hash, 4, 4, 1);
      expect(caller.mapCreate(type, 4, 4, 2, { 20: 99 })).toBe(-EBADF);
      const outer = caller.mapCreate(type, 4, 4, 2, { 20: like });
      expect(caller.mapCreate(type, 4, 4, 2, { 20: outer })).toBe(-EINVAL);
      caller.close(like);
      const inner = caller.mapCreate(MapType.Hash, 4, 4, 7);
      const other = caller.mapCreate(MapType.Hash, 4, 8, 7);
      const key = caller.words(0);
      expect(caller.update(outer, key, caller.words(other))).toBe(-EINVAL);
      expect(caller.update(outer, key, caller.words(inner))).toBe(0);
      expect(caller.update(inner, caller.words(1), caller.words(2))).toBe(0);
      const at = caller.room(4);
      expect(caller.lookup(outer, key, at)).toBe(0);
      const id = caller.u32(at);
      caller.close(inner);
      const again = caller.call(Command.MapGetFdById, { 0: id });
      expect(caller.lookup(again, caller.words(1), at)).toBe(0);
      expect(caller.u32(at)).toBe(2);
      expect(caller.remove(outer, key)).toBe(0);
      expect(caller.lookup(again, caller.words(1), at)).toBe(0);
      caller.close(again);
      expect(caller.call(Command.MapGetFdById, { 0: id })).toBe(-ENOENT);
      caller.closeAll();
      expect(caller.arena.used).toBe(before);
    },
  );
});

test("maps with locks are in maps since 6.2, and meta data of XDP has had 32 bytes until then", () => {
  const made = (["6.1", "6.12"] as const).map((generation) => {
    const caller = new Caller({ generation });
    const types = storageTypes();
    const typed = { 48: caller.loadBtf(types.bytes), 52: types.int, 56: types.locked };
    const inner = caller.mapCreate(MapType.Hash, 4, 8, 1, typed);
    const outer = caller.mapCreate(MapType.ArrayOfMaps, 4, 4, 1, { 20: inner });
    const program = caller.load(ProgramType.Xdp, "mov %r0, 2\nexit");
    const data = BigInt(caller.room(128));
    const run = { 0: program, 8: 128, 16: data, 40: 24, 48: BigInt(caller.words(36, 128, 0, 0, 0, 0)) };
    return [outer > 0 ? 1 : outer, caller.call(Command.ProgTestRun, run)];
  });
  expect(made).toEqual([
    [-ENOTSUPP, -EINVAL],
    [1, 0],
  ]);
});

import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import type { HelperRules } from "../../src/storage/storage-helpers.js";
import type { StorageMap } from "../../src/storage/storage-map.js";
import { MapFlag } from "../../src/uapi/map-types.js";
import { outcomeOf } from "../outcome.js";
import { HIGH, ReferenceHost } from "./host.js";

const ANY = 0n;
const [NOEXIST, EXIST, LOCK] = [1n, 2n, 4n];
const CREATE = 1n;

describe("S: maps and their elements from outside", () => {
  test("S1: key_size 4, value_size above 0, max_entries 0, NO_PREALLOC, and CLONE if wanted", () => {
    const host = new ReferenceHost();
    const desc = (change: object) => ({ ...host.map().desc, ...change });
    const Made = host.map().constructor as new (storages: unknown, desc: object, id: number) => unknown;
    const made = (change: object) => outcomeOf(() => new Made(host.storages, desc(change), 9));
    expect(made({})).toBe("made");
    expect(made({ flags: MapFlag.NoPrealloc | MapFlag.Clone })).toBe("made");
    for (const flag of [MapFlag.Rdonly, MapFlag.RdonlyProg, MapFlag.NumaNode])
      expect(made({ flags: MapFlag.NoPrealloc | flag })).toBe("EINVAL");
    expect(made({ flags: 0 })).toBe("EINVAL");
    expect(made({ keySize: 8 })).toBe("EINVAL");
    expect(made({ valueSize: 0 })).toBe("EINVAL");
    expect(made({ maxEntries: 1 })).toBe("EINVAL");
  });

  test("S3: the largest value has 65407 bytes", () => {
    const host = new ReferenceHost();
    expect(outcomeOf(() => host.map(65407))).toBe("made");
    expect(outcomeOf(() => host.map(65408))).toBe("E2BIG");
  });

  test("S7: lookup of what is missing finds nothing, a bad descriptor is EBADF", () => {
    const host = new ReferenceHost();
    host.object(3);
    const map = host.map();
    expect(map.lookup(host.key(3))).toBe(0);
    expect(map.lookup(host.key(4))).toBe(-ERRNO.EBADF);
  });

  test("S8: EXIST wants one, NOEXIST wants none, both are EINVAL, and so is F_LOCK without a lock", () => {
    const host = new ReferenceHost();
    host.object(3);
    const map = host.map();
    const key = host.key(3);
    const value = host.value(7, 8);
    expect(map.update(key, value, EXIST)).toBe(-ERRNO.ENOENT);
    expect(map.update(key, value, NOEXIST)).toBe(0);
    expect(map.update(key, value, NOEXIST)).toBe(-ERRNO.EEXIST);
    expect(map.update(key, value, EXIST)).toBe(0);
    expect(map.update(key, value, 3n)).toBe(-ERRNO.EINVAL);
    expect(map.update(key, value, 8n)).toBe(-ERRNO.EINVAL);
    expect(map.update(key, value, LOCK)).toBe(-ERRNO.EINVAL);
  });

  test("S8: with a lock F_LOCK copies in place; without, an update replaces, and the value before stays readable", () => {
    const host = new ReferenceHost();
    host.object(3);
    const map = host.map(8, { fields: { spinLock: 0 } });
    const key = host.key(3);
    expect(map.update(key, host.value(5, 1), ANY)).toBe(0);
    const first = map.lookup(key);
    expect([host.word(first), host.word(first + 4)]).toEqual([0, 1]);
    expect(map.update(key, host.value(5, 2), LOCK)).toBe(0);
    expect(map.lookup(key)).toBe(first);
    expect([host.word(first), host.word(first + 4)]).toEqual([0, 2]);
    host.maps.rcu.lock(() => {
      expect(map.update(key, host.value(5, 3), EXIST)).toBe(0);
      expect(map.lookup(key)).not.toBe(first);
      expect(host.word(first + 4)).toBe(2);
    });
    expect(host.word(map.lookup(key) + 4)).toBe(3);
  });

  test("S9: delete of what is missing is ENOENT, and there is no next key", () => {
    const host = new ReferenceHost();
    host.object(3);
    const map = host.map();
    const key = host.key(3);
    expect(map.delete(key)).toBe(-ERRNO.ENOENT);
    map.update(key, host.value(1), ANY);
    expect(map.delete(key)).toBe(0);
    expect(map.lookup(key)).toBe(0);
    expect(map.nextKey()).toBe(-ERRNO.ENOTSUPP);
  });

  test("S13: storage follows the object: what is set by one descriptor is seen by another, and by no stranger's", () => {
    const host = new ReferenceHost();
    host.fds.set(4, host.object(3));
    host.object(5);
    const map = host.map();
    expect(map.update(host.key(3), host.value(8), ANY)).toBe(0);
    expect(host.word(map.lookup(host.key(4)))).toBe(8);
    expect(map.lookup(host.key(5))).toBe(0);
    host.fds.delete(3);
    expect(map.lookup(host.key(3))).toBe(-ERRNO.EBADF);
    expect(host.word(map.lookup(host.key(4)))).toBe(8);
  });

  test("S14: what an owner may be charged with bounds its values", () => {
    const host = new ReferenceHost({ allowance: 131072 });
    host.object(3);
    const key = host.key(3);
    const maps = [host.map(60000), host.map(60000), host.map(60000)];
    const value = host.maps.arena.alloc(60000);
    expect(maps.map((map) => map.update(key, value, ANY))).toEqual([0, 0, -ERRNO.ENOMEM]);
    for (const map of maps) map.delete(key);
    expect([...host.charged.values()]).toEqual([0]);
  });
});

describe("S15: a socket that is accepted", () => {
  const clone = (host: ReferenceHost, from: number, to: number) =>
    host.storages.clone(from + 8, to + 8, (address) => host.byAddress.get(address) as StorageMap);

  test("gets copies of what maps with CLONE hold, without their locks, and of nothing else", () => {
    const host = new ReferenceHost();
    const [listening, accepted] = [host.object(3), host.object(4)];
    const flags = MapFlag.NoPrealloc | MapFlag.Clone;
    const [copied, own] = [host.map(8, { flags, fields: { spinLock: 0 } }), host.map()];
    for (const map of [copied, own]) expect(map.update(host.key(3), host.value(9, 7), ANY)).toBe(0);
    host.maps.arena.setU32(copied.lookup(host.key(3)), 1);
    expect(clone(host, listening, accepted)).toBe(0);
    expect(host.storages.count(accepted + 8)).toBe(1);
    const copy = copied.lookup(host.key(4));
    expect([host.word(copy), host.word(copy + 4)]).toEqual([0, 7]);
    expect(own.lookup(host.key(4))).toBe(0);
    expect(copied.update(host.key(3), host.value(0, 5), ANY)).toBe(0);
    expect(host.word(copied.lookup(host.key(4)) + 4)).toBe(7);
  });

  test("is charged for them: what there is no memory for is ENOMEM, and what has been copied by then stays", () => {
    const host = new ReferenceHost({ allowance: 2000 });
    const [listening, accepted] = [host.object(3), host.object(4)];
    const flags = MapFlag.NoPrealloc | MapFlag.Clone;
    const maps = [host.map(600, { flags }), host.map(600, { flags })];
    for (const map of maps) expect(map.update(host.key(3), host.maps.arena.alloc(600), ANY)).toBe(0);
    host.charged.set(accepted + 8, 500);
    expect(clone(host, listening, accepted)).toBe(-ERRNO.ENOMEM);
    expect(host.storages.count(accepted + 8)).toBe(1);
    host.freed(accepted);
    expect(host.charged.get(accepted + 8)).toBe(500);
  });
});

describe("H: helpers", () => {
  test("H1: flags other than 0 and F_CREATE find nothing, nor does NULL; delete of NULL is EINVAL", () => {
    const host = new ReferenceHost();
    const map = host.map();
    const object = host.object(3);
    expect(host.helpers.get(map, object, HIGH, 0, 2n, true)).toBe(0);
    expect(host.helpers.get(map, 0, 0, 0, CREATE, true)).toBe(0);
    expect(host.helpers.delete(map, 0, 0, true)).toBe(-ERRNO.EINVAL);
  });

  test("H2: get creates if told, from zeros or a value, which counts for nothing if there is one", () => {
    const host = new ReferenceHost();
    const [zeros, copied] = [host.map(), host.map()];
    const object = host.object(3);
    expect(host.helpers.get(zeros, object, HIGH, 0, 0n, true)).toBe(0);
    expect(host.word(host.helpers.get(zeros, object, HIGH, 0, CREATE, true))).toBe(0);
    expect(host.word(host.helpers.get(copied, object, HIGH, host.value(6), CREATE, true))).toBe(6);
    expect(host.word(host.helpers.get(copied, object, HIGH, host.value(7), CREATE, true))).toBe(6);
  });

  test("H3: an object that is being freed gets nothing new", () => {
    const host = new ReferenceHost();
    const [had, map] = [host.map(), host.map()];
    const object = host.object(3);
    const value = host.helpers.get(had, object, HIGH, 0, CREATE, true);
    host.dying(object);
    expect(host.helpers.get(map, object, HIGH, 0, CREATE, true)).toBe(0);
    expect(host.helpers.get(had, object, HIGH, 0, CREATE, true)).toBe(value);
  });

  test("H3: a socket that nobody refers to keeps what it has from delete, and one that is not whole is EINVAL", () => {
    const host = new ReferenceHost({ rules: { guard: "nobody", refers: true } });
    const map = host.map();
    const object = host.object(3);
    expect(host.helpers.get(map, object, HIGH, 0, CREATE, true)).not.toBe(0);
    expect(host.helpers.delete(map, object, 0, true)).toBe(-ERRNO.EINVAL);
    host.dying(object);
    expect(host.helpers.delete(map, object, HIGH, true)).toBe(-ERRNO.ENOENT);
    expect(host.helpers.get(map, object, HIGH, 0, 0n, true)).not.toBe(0);
  });

  const busy = (generation: "6.1" | "6.12", recur: boolean, rules?: HelperRules) => {
    const host = new ReferenceHost(rules === undefined ? { generation } : { generation, rules });
    const [there, missing] = [host.map(), host.map()];
    const object = host.object(3);
    const value = host.helpers.get(there, object, HIGH, 0, CREATE, recur);
    const seen = host.helpers.within(() => ({
      there: host.helpers.get(there, object, HIGH, 0, CREATE, recur) === value,
      made: host.helpers.get(missing, object, HIGH, 0, CREATE, recur) !== 0,
      deleteMissing: host.helpers.delete(host.map(), object, HIGH, recur),
      deleteThere: host.helpers.delete(there, object, HIGH, recur),
    }));
    expect(host.helpers.busy).toBe(0);
    return seen;
  };

  test("a busy CPU, 6.1: get finds nothing, delete is EBUSY before it looks", () => {
    const answers = { there: false, made: false, deleteMissing: -ERRNO.EBUSY, deleteThere: -ERRNO.EBUSY };
    expect(busy("6.1", true)).toEqual(answers);
    expect(busy("6.1", false)).toEqual(answers);
  });

  test("a busy CPU, 6.12, programs that recur: get finds what is there and makes nothing, delete is ENOENT or EBUSY", () => {
    expect(busy("6.12", true)).toEqual({
      ...{ there: true, made: false },
      ...{ deleteMissing: -ERRNO.ENOENT, deleteThere: -ERRNO.EBUSY },
    });
  });

  test("a busy CPU, 6.12, cgroups: whoever asks finds what is there and makes nothing, delete is EBUSY before it looks", () => {
    const answers = { there: true, made: false, deleteMissing: -ERRNO.EBUSY, deleteThere: -ERRNO.EBUSY };
    for (const recur of [true, false]) expect(busy("6.12", recur, { guard: "all", refers: false })).toEqual(answers);
  });

  test("a busy CPU, 6.12, inodes and sockets: nobody is inside", () => {
    const answers = { there: true, made: true, deleteMissing: -ERRNO.ENOENT, deleteThere: 0 };
    expect(busy("6.12", true, { guard: "nobody", refers: false })).toEqual(answers);
  });

  test("a busy CPU, 6.12, programs that do not recur: nothing is refused", () => {
    expect(busy("6.12", false)).toEqual({ there: true, made: true, deleteMissing: -ERRNO.ENOENT, deleteThere: 0 });
  });
});

describe("L: lifetime", () => {
  test("L1: an owner takes its elements with it; L2: a map takes its own, and gives its slot back; nothing is left", () => {
    const host = new ReferenceHost();
    const { arena } = host.maps;
    const before = arena.used;
    const maps = Array.from({ length: 20 }, () => host.map(24));
    const objects = [3, 4, 5].map((fd) => host.object(fd));
    for (const object of objects)
      for (const map of maps) expect(host.helpers.get(map, object, HIGH, 0, CREATE, true)).not.toBe(0);
    host.freed(objects[0] as number);
    for (const map of maps.slice(0, 10)) map.free();
    expect(host.storages.count((objects[1] as number) + 8)).toBe(10);
    host.freed(objects[1] as number);
    for (const map of maps.slice(10)) map.free();
    expect(host.storages.count((objects[2] as number) + 8)).toBe(0);
    host.freed(objects[2] as number);
    expect(arena.used).toBe(before);
  });

  test("L4: what a program holds stays until it ends", () => {
    const host = new ReferenceHost();
    const map = host.map();
    const object = host.object(3);
    host.maps.rcu.lock(() => {
      const value = host.helpers.get(map, object, HIGH, host.value(5), CREATE, true);
      const { used } = host.maps.arena;
      expect(host.helpers.delete(map, object, HIGH, true)).toBe(0);
      expect(host.helpers.get(map, object, HIGH, 0, 0n, true)).toBe(0);
      expect(host.word(value)).toBe(5);
      expect(host.maps.arena.used).toBe(used);
    });
    expect(host.maps.rcu.pending).toBe(0);
  });
});

describe("C: the cache", () => {
  test("C1: the first 16 maps have slots 0 to 15, the next one 0 again; one that goes gives its slot back", () => {
    const host = new ReferenceHost();
    const maps = Array.from({ length: 18 }, () => host.map());
    expect(maps.map(({ slot }) => slot)).toEqual([...Array(16).keys(), 0, 1]);
    maps[5]?.free();
    expect(host.map().slot).toBe(5);
  });

  test("C2: get remembers what it found, delete forgets that and nothing else", () => {
    const host = new ReferenceHost();
    const maps = Array.from({ length: 17 }, () => host.map());
    const [first, last] = [maps[0], maps[16]];
    if (first === undefined || last === undefined) throw new RangeError("no maps");
    const object = host.object(3);
    const slot = () => host.word(host.word(object + 8));
    const values = [first, last].map((map) => host.helpers.get(map, object, HIGH, 0, CREATE, true));
    expect(slot()).toBe(0);
    host.helpers.get(first, object, HIGH, 0, 0n, true);
    expect(slot()).toBe((values[0] as number) - 24);
    expect(host.helpers.delete(last, object, HIGH, true)).toBe(0);
    expect(slot()).toBe((values[0] as number) - 24);
    expect(host.helpers.delete(first, object, HIGH, true)).toBe(0);
    expect(host.word(object + 8)).toBe(0);
  });

  test("beyond 16 maps an owner has a table, and every element is found whatever came and went", () => {
    const host = new ReferenceHost();
    const maps = Array.from({ length: 100 }, () => host.map());
    const object = host.object(3);
    const values = maps.map((map) => host.helpers.get(map, object, HIGH, 0, CREATE, true));
    const gone = new Set<number>();
    for (let k = 0, step = 37; k < 70; k++) {
      const victim = (k * step) % 100;
      gone.add(victim);
      expect(host.helpers.delete(maps[victim] as (typeof maps)[number], object, HIGH, true)).toBe(0);
      maps.forEach((map, n) => {
        expect(host.helpers.get(map, object, HIGH, 0, 0n, true)).toBe(gone.has(n) ? 0 : values[n]);
      });
    }
  });
});

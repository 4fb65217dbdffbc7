import { describe, expect, test } from "vitest";
import { Command, ERRNO, MapFlag, MapType } from "../../src/index.js";
import type { CallerDesc } from "./caller.js";
import { type Kind, kindsOf, Owner, TYPES } from "./storage-owner.js";

const { EINVAL, ENOENT, EBADF, EPERM, EEXIST, ENOTSUPP, ENOTSOCK, ENOMEM } = ERRNO;
const [NOEXIST, EXIST, LOCK] = [1n, 2n, 4n];

describe.each(["6.1", "6.12"] as const)("elements of storage by bpf(2), %s", (generation) => {
  const each = kindsOf(generation);
  const caller = (desc: CallerDesc = {}) => new Owner({ generation, ...desc });

  test("S7: lookup of what is missing is ENOENT; a bad key says what it should have been", () => {
    const owner = caller();
    for (const kind of each) {
      const map = owner.storage(kind);
      expect(owner.get(map, owner.open(kind))).toBe(-ENOENT);
      expect(owner.get(map, 9999)).toBe(-EBADF);
      expect(owner.set(map, 9999, 1)).toBe(-EBADF);
      expect(owner.remove(map, owner.words(9999))).toBe(-EBADF);
      const other = owner.open(kind === "tasks" ? "inodes" : "tasks");
      expect(owner.get(map, other)).toBe(kind === "sockets" ? -ENOTSOCK : -EBADF);
    }
  });

  test("S8: EXIST wants one, NOEXIST wants none, both are EINVAL, and so is F_LOCK without a lock", () => {
    const owner = caller();
    for (const kind of each) {
      const map = owner.storage(kind);
      const fd = owner.open(kind);
      expect(owner.set(map, fd, 1, EXIST)).toBe(-ENOENT);
      expect(owner.set(map, fd, 1, NOEXIST)).toBe(0);
      expect(owner.set(map, fd, 1, NOEXIST)).toBe(-EEXIST);
      expect(owner.set(map, fd, 2, EXIST)).toBe(0);
      expect(owner.get(map, fd)).toBe(2);
      for (const flags of [3n, 8n, 1n << 32n, LOCK, LOCK | NOEXIST]) expect(owner.set(map, fd, 3, flags)).toBe(-EINVAL);
      expect(owner.lookup(map, owner.words(fd), owner.room(4), LOCK)).toBe(-EINVAL);
    }
  });

  test("S8: with a lock F_LOCK copies in place and the lock reads 0; without, an update replaces, and the value before stays readable", () => {
    const owner = caller();
    for (const kind of each) {
      const map = owner.storage(kind, TYPES.locked, 8);
      const fd = owner.open(kind);
      const key = owner.words(fd);
      const at = owner.room(8);
      const stored = () => owner.arena.u32(owner.objectOf(fd) + 8);
      expect(owner.update(map, key, owner.words(5, 1), LOCK | NOEXIST)).toBe(0);
      const list = () => owner.arena.u32(stored() + 64);
      const first = list();
      expect(owner.update(map, key, owner.words(5, 2), LOCK | EXIST)).toBe(0);
      expect(list()).toBe(first);
      expect(owner.lookup(map, key, at, LOCK)).toBe(0);
      expect([owner.u32(at), owner.u32(at + 4)]).toEqual([0, 2]);
      owner.runtime.rcu.lock(() => {
        expect(owner.update(map, key, owner.words(5, 3), EXIST)).toBe(0);
        expect(list()).not.toBe(first);
        expect(owner.arena.u32(first + 28)).toBe(2);
      });
      expect(owner.lookup(map, key, at)).toBe(0);
      expect(owner.u32(at + 4)).toBe(3);
    }
  });

  test("S9: delete of what is missing is ENOENT; no next key, no taking, no batches", () => {
    const owner = caller();
    for (const kind of each) {
      const map = owner.storage(kind);
      const fd = owner.open(kind);
      const [key, value] = [owner.words(fd), owner.room(4)];
      expect(owner.remove(map, key)).toBe(-ENOENT);
      expect(owner.set(map, fd, 1)).toBe(0);
      expect(owner.remove(map, key)).toBe(0);
      expect(owner.remove(map, key)).toBe(-ENOENT);
      owner.set(map, fd, 1);
      expect(owner.nextKey(map, 0, value)).toBe(-ENOTSUPP);
      expect(owner.nextKey(map, key, value)).toBe(-ENOTSUPP);
      const element = { 0: map, 8: BigInt(key), 16: BigInt(value) };
      expect(owner.call(Command.MapLookupAndDeleteElem, element)).toBe(-ENOTSUPP);
      const batch = { 8: BigInt(value), 16: BigInt(key), 24: BigInt(value), 32: 1, 36: map };
      for (const command of [
        ...[Command.MapLookupBatch, Command.MapLookupAndDeleteBatch],
        ...[Command.MapUpdateBatch, Command.MapDeleteBatch],
      ])
        expect(owner.call(command, batch)).toBe(-ENOTSUPP);
    }
  });

  test("S10: a child that nobody has waited for has storage; one that is gone is ENOENT", () => {
    const owner = caller();
    const map = owner.storage("tasks");
    const child = owner.open("tasks");
    // A zombie: it has ended, and its task is still there.
    expect(owner.set(map, child, 4)).toBe(0);
    expect(owner.get(map, child)).toBe(4);
    owner.free(child);
    expect(owner.get(map, child)).toBe(-ENOENT);
    expect(owner.set(map, child, 5)).toBe(-ENOENT);
    expect(owner.remove(map, owner.words(child))).toBe(-ENOENT);
  });

  test("S11: a child inherits nothing, and a thread has storage of its own", () => {
    const owner = caller();
    const map = owner.storage("tasks");
    const [leader, child, thread] = [owner.open("tasks"), owner.open("tasks"), owner.open("tasks")];
    expect(owner.set(map, leader, 1)).toBe(0);
    expect(owner.get(map, child)).toBe(-ENOENT);
    expect(owner.get(map, thread)).toBe(-ENOENT);
    // Another descriptor of the process names its leader too.
    expect(owner.get(map, owner.open("tasks", owner.objectOf(leader)))).toBe(1);
  });

  test("S12: a frozen map is not written any more; one whose values have special fields cannot be frozen since 6.2", () => {
    const owner = caller();
    const freeze = (map: number) => owner.call(Command.MapFreeze, { 0: map });
    for (const kind of each) {
      const [plain, locked] = [owner.storage(kind), owner.storage(kind, TYPES.locked, 8)];
      const fd = owner.open(kind);
      const [key, value] = [owner.words(fd), owner.words(0, 6)];
      for (const map of [plain, locked]) expect(owner.update(map, key, value)).toBe(0);
      expect(freeze(plain)).toBe(0);
      expect(freeze(plain)).toBe(generation === "6.1" ? -ERRNO.EBUSY : -EPERM);
      expect(owner.update(plain, key, value)).toBe(-EPERM);
      expect(owner.remove(plain, key)).toBe(-EPERM);
      expect(owner.get(plain, fd)).toBe(0);
      expect(freeze(locked)).toBe(generation === "6.1" ? 0 : -ENOTSUPP);
      expect(owner.update(locked, key, value)).toBe(generation === "6.1" ? -EPERM : 0);
    }
  });

  test("S13: storage follows the inode: what is set by one descriptor is seen by another", () => {
    const owner = caller();
    const map = owner.storage("inodes");
    const one = owner.open("inodes");
    const path = owner.open("inodes", owner.objectOf(one));
    expect(owner.set(map, one, 8)).toBe(0);
    expect(owner.get(map, path)).toBe(8);
    expect(owner.get(map, owner.open("inodes"))).toBe(-ENOENT);
    owner.owners.delete(one);
    expect(owner.get(map, path)).toBe(8);
  });

  test("S14: values of sockets count against what options of a socket may take; those of tasks do not", () => {
    // net.core.optmem_max, as 6.1 and as 6.12 have it.
    const allowance = generation === "6.1" ? 20480 : 131072;
    const charged = new Map<number, number>();
    const charge = (cell: number, bytes: number): boolean => {
      const sum = (charged.get(cell) ?? 0) + bytes;
      if (sum > allowance) return false;
      charged.set(cell, sum);
      return true;
    };
    const owner = caller();
    const sockets = owner.runtime.storages.get(MapType.SkStorage);
    Object.assign(sockets?.storages.owners ?? {}, {
      charge,
      uncharge: (cell: number, bytes: number) => void charge(cell, -bytes),
    });
    const fill = (kind: Kind) => {
      const key = owner.words(owner.open(kind));
      const value = owner.room(60000);
      return [1, 2, 3].map(() => owner.update(owner.storage(kind, TYPES.array(60000), 60000), key, value));
    };
    expect(fill("sockets")).toEqual(generation === "6.1" ? [-ENOMEM, -ENOMEM, -ENOMEM] : [0, 0, -ENOMEM]);
    expect(fill("tasks")).toEqual([0, 0, 0]);
  });

  test("S15: a socket that is accepted gets copies of what maps with CLONE hold, and of nothing else", () => {
    const owner = caller();
    const clone = (value: number, size: number) =>
      owner.storage("sockets", value, size, { 16: MapFlag.NoPrealloc | MapFlag.Clone });
    const [copied, locked, own] = [clone(TYPES.int, 4), clone(TYPES.locked, 8), owner.storage("sockets")];
    const [listening, accepted] = [owner.open("sockets"), owner.open("sockets")];
    for (const map of [copied, own]) expect(owner.set(map, listening, 7)).toBe(0);
    expect(owner.update(locked, owner.words(listening), owner.words(3, 9))).toBe(0);
    expect(owner.runtime.cloneStorage(owner.objectOf(listening) + 8, owner.objectOf(accepted) + 8)).toBe(0);
    expect(owner.get(copied, accepted)).toBe(7);
    expect(owner.get(own, accepted)).toBe(-ENOENT);
    const at = owner.room(8);
    expect(owner.lookup(locked, owner.words(accepted), at)).toBe(0);
    expect([owner.u32(at), owner.u32(at + 4)]).toEqual([0, 9]);
    // They are copies.
    owner.set(copied, listening, 1);
    expect(owner.get(copied, accepted)).toBe(7);
  });
});

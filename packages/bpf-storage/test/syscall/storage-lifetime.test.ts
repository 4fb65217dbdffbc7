import { describe, expect, test } from "vitest";
import { ERRNO, MapType } from "../../src/index.js";
import type { CallerDesc } from "./caller.js";
import { kindsOf, Owner } from "./storage-owner.js";

const { ENOENT, EAGAIN } = ERRNO;

describe.each(["6.1", "6.12"] as const)("lifetime of storage by bpf(2), %s", (generation) => {
  const each = kindsOf(generation);
  const caller = (desc: CallerDesc = {}) => new Owner({ generation, ...desc });

  test("L3: a map and an owner that go at once free each element once", () => {
    for (const order of [0, 1])
      for (const kind of each) {
        const owner = caller();
        const before = owner.arena.used;
        const map = owner.storage(kind);
        const fd = owner.open(kind);
        owner.set(map, fd, 1);
        owner.runtime.rcu.lock(() => {
          if (order === 0) owner.close(map);
          owner.free(fd);
          if (order === 1) owner.close(map);
        });
        expect(owner.runtime.rcu.pending).toBe(0);
        owner.arena.free(owner.objectOf(fd));
        expect(owner.arena.used).toBe(before);
      }
  });

  test("L5: who creates storage of an owner second, or while its last element goes, is told to try again", () => {
    const owner = caller();
    const [first, second] = [owner.storage("tasks"), owner.storage("tasks")];
    const fd = owner.open("tasks");
    const storages = owner.runtime.storages.get(MapType.TaskStorage)?.storages;
    let raced = false;
    // Another CPU is in the middle of the same, where memory is asked for.
    Object.assign(storages?.owners ?? {}, {
      charge: () => {
        if (!raced) {
          raced = true;
          expect(owner.set(second, fd, 2)).toBe(0);
        }
        return true;
      },
    });
    expect(owner.set(first, fd, 1)).toBe(-EAGAIN);
    expect(owner.get(first, fd)).toBe(-ENOENT);
    expect(owner.get(second, fd)).toBe(2);
    raced = false;
    Object.assign(storages?.owners ?? {}, {
      charge: () => {
        if (!raced) {
          raced = true;
          expect(owner.remove(second, owner.words(fd))).toBe(0);
        }
        return true;
      },
    });
    expect(owner.set(first, fd, 1)).toBe(-EAGAIN);
    expect(owner.set(first, fd, 1)).toBe(0);
  });

  test("the storage of tasks is busy while a system call is inside it", () => {
    const owner = caller();
    const map = owner.storage("tasks");
    const fd = owner.open("tasks");
    const helpers = owner.runtime.storages.get(MapType.TaskStorage)?.helpers;
    const seen: number[] = [];
    owner.runtime.entered = () => seen.push(helpers?.busy ?? -1);
    expect(owner.set(map, fd, 1)).toBe(0);
    expect(owner.get(map, fd)).toBe(1);
    expect(owner.remove(map, owner.words(fd))).toBe(0);
    expect(new Set(seen)).toEqual(new Set([1]));
    expect(helpers?.busy).toBe(0);
  });
});

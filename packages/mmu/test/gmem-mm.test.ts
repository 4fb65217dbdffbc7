import { Task } from "@vm/lockdep";
import { expect, test } from "vitest";
import type { MmuNotifier } from "../src/gmem/mm.js";
import { errnoOf, newHost, PAGE } from "./gmem-fixture.js";

test.each([
  ["no bytes", "EINVAL", { length: 0 }],
  ["an offset that is not aligned", "EINVAL", { length: 1, offset: 1 }],
  ["a negative offset", "EINVAL", { length: 1, offset: -PAGE }],
  ["more than there is", "ENOMEM", { length: 65 * PAGE }],
  ["one byte", "none", { length: 1 }],
])("mmap of %s: %s", async (_what, errno, desc) => {
  const { mm, task } = newHost();
  expect(await errnoOf(() => mm.mmap(task, desc))).toBe(errno);
});

test("anonymous memory is zero, taken page by page and given back by munmap", async () => {
  const { arena, mm, task } = newHost();
  const addr = await mm.mmap(task, { length: 3 * PAGE });
  expect(await mm.load(task, addr + 2 * PAGE - 1, 2)).toEqual(Uint8Array.of(0, 0));
  expect([arena.taken, arena.available]).toEqual([2, 61]);
  await mm.munmap(task, addr, 3 * PAGE);
  expect([arena.taken, arena.available, mm.mapped]).toEqual([0, 64, 0]);
  await expect(mm.load(task, addr, 1)).rejects.toThrow("SIGSEGV");
});

test.each([
  ["no bytes", 0, 0],
  ["less", 0, -PAGE],
  ["an address that is not aligned", 1, PAGE],
])("munmap of %s: EINVAL", async (_what, offset, length) => {
  const { mm, task } = newHost();
  const addr = await mm.mmap(task, { length: PAGE });
  expect(await errnoOf(() => mm.munmap(task, addr + offset, length))).toBe("EINVAL");
  expect(await mm.load(task, addr, 1)).toEqual(Uint8Array.of(0));
});

test("a hole in a mapping leaves what is before and behind it; a hole where nothing is is none", async () => {
  const { arena, mm, task } = newHost();
  const addr = await mm.mmap(task, { length: 3 * PAGE });
  for (let k = 0; k < 3; k++) await mm.store(task, addr + k * PAGE, Uint8Array.of(k));
  for (let times = 0; times < 2; times++) await mm.munmap(task, addr + PAGE, 1);
  await expect(mm.load(task, addr + PAGE, 1)).rejects.toThrow("SIGSEGV");
  expect([await mm.load(task, addr, 1), await mm.load(task, addr + 2 * PAGE, 1)]).toEqual([
    Uint8Array.of(0),
    Uint8Array.of(2),
  ]);
  expect([arena.taken, arena.available]).toEqual([2, 62]);
});

test("a page that is unmapped while it is pinned takes no other page's place", async () => {
  const { arena, mm, task } = newHost({ pages: 2 });
  const addr = await mm.mmap(task, { length: 2 * PAGE });
  const pinned = await mm.gupFast(task, addr);
  await mm.munmap(task, addr, PAGE);
  await mm.store(task, addr + PAGE, Uint8Array.of(1));
  expect([arena.taken, arena.available]).toEqual([2, 0]);
  pinned.put();
  expect([arena.taken, arena.available]).toEqual([1, 1]);
});

test("neighbouring mappings do not touch: an access that runs over the end is a SIGSEGV", async () => {
  const { mm, task } = newHost();
  const addr = await mm.mmap(task, { length: PAGE });
  await mm.mmap(task, { length: PAGE });
  await expect(mm.store(task, addr + PAGE - 1, Uint8Array.of(1, 2))).rejects.toMatchObject({ addr: addr + PAGE });
  expect(await mm.load(task, addr + PAGE - 1, 1)).toEqual(Uint8Array.of(1));
});

test("two tasks that fault on one page get one page, also if it is the last there is", async () => {
  const { lockdep, arena, mm, task } = newHost({ pages: 1 });
  const addr = await mm.mmap(task, { length: PAGE });
  await mm.mmapLock.downWrite(task);
  const loads = [1, 2].map((k) => mm.load(new Task(lockdep, `reader ${k}`), addr, 1));
  mm.mmapLock.upWrite(task);
  expect(await Promise.all(loads)).toEqual([Uint8Array.of(0), Uint8Array.of(0)]);
  expect(arena.taken).toBe(1);
});

test("a pinned page outlives its mapping, and is EFAULT where nothing is mapped", async () => {
  const { arena, mm, task } = newHost();
  const addr = await mm.mmap(task, { length: PAGE });
  await mm.store(task, addr, Uint8Array.of(9));
  const pins = [await mm.gupFast(task, addr), mm.tryGup(task, addr)];
  await mm.exit(task);
  for (const pin of pins) {
    if (typeof pin === "string") throw new Error(pin);
    expect([pin.bytes[0], arena.taken]).toEqual([9, 1]);
    pin.put();
  }
  expect([arena.taken, arena.available]).toEqual([0, 64]);
  expect(await errnoOf(() => mm.gupFast(task, addr))).toBe("EFAULT");
  expect(mm.tryGup(task, addr)).toBe("SIGSEGV");
});

test("a pin that cannot wait is told to retry while mmap_lock is taken, but not if the page is there", async () => {
  const { lockdep, mm, task } = newHost();
  const addr = await mm.mmap(task, { length: 2 * PAGE });
  await mm.load(task, addr, 1);
  const other = new Task(lockdep, "other");
  await mm.mmapLock.write(other, () => {
    expect(mm.tryGup(task, addr)).toBeTypeOf("object");
    expect(mm.tryGup(task, addr + PAGE)).toBe("retry");
  });
  expect(mm.tryGup(task, addr + PAGE)).toBeTypeOf("object");
});

test("whoever translates addresses hears of pages that go, before and after, and of no others", async () => {
  const { mm, task } = newHost();
  const heard: unknown[] = [];
  const notifier: MmuNotifier = {
    invalidateRangeStart: (_task, start, end) => heard.push(["start", start, end, mm.mapped]),
    invalidateRangeEnd: (_task, start, end) => heard.push(["end", start, end, mm.mapped]),
  };
  const stop = mm.register(notifier);
  const [used, unused] = [await mm.mmap(task, { length: 2 * PAGE }), await mm.mmap(task, { length: PAGE })];
  await mm.load(task, used, 1);
  await mm.munmap(task, unused, PAGE);
  await mm.munmap(task, used, 2 * PAGE);
  expect(heard).toEqual([
    ["start", used, used + 2 * PAGE, 1],
    ["end", used, used + 2 * PAGE, 0],
  ]);
  stop();
  const more = await mm.mmap(task, { length: PAGE });
  await mm.load(task, more, 1);
  await mm.munmap(task, more, PAGE);
  expect(heard).toHaveLength(2);
});

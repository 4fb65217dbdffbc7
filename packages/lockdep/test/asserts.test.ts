import { describe, expect, test } from "vitest";
import {
  LockAssertionError,
  LockClass,
  Lockdep,
  LockdepError,
  LockMap,
  Mutex,
  RwSemaphore,
  RwSpinLock,
  SpinLock,
  Srcu,
  Task,
  throwReport,
  WAIT_SLEEP,
} from "../src/index.js";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setup() {
  const lockdep = new Lockdep({ onReport: () => undefined });
  const kinds = (): string[] => lockdep.reports.map(({ kind }) => kind);
  return { lockdep, kinds, task: new Task(lockdep, "task"), other: new Task(lockdep, "other") };
}

describe("assertions", () => {
  test("know who holds what, and how", async () => {
    const { lockdep, task, other } = setup();
    const sem = new RwSemaphore(lockdep, new LockClass("sem"));
    sem.assertNotHeld(task);
    expect(() => sem.assertHeld(task)).toThrow("task/1 must hold sem here, and does not");
    expect(() => sem.assertHeldExclusive(task)).toThrow("task/1 must hold sem exclusively here, and does not hold it");
    await sem.read(task, () => {
      sem.assertHeld(task);
      sem.assertNotHeld(other);
      expect(() => sem.assertHeld(other)).toThrow(LockAssertionError);
      expect(() => sem.assertHeldExclusive(task)).toThrow("task/1 must hold sem exclusively here, and holds it shared");
      expect(() => sem.assertNotHeld(task)).toThrow("task/1 must not hold sem here, and does");
    });
    await sem.write(task, () => {
      sem.assertHeld(task);
      sem.assertHeldExclusive(task);
    });
  });

  test("are about the lock, not about its class", async () => {
    const { lockdep, task } = setup();
    const shared = new LockClass("m");
    const [one, two] = [new Mutex(lockdep, shared), new Mutex(lockdep, shared)];
    await one.run(task, () => two.assertNotHeld(task));
  });

  test("an assertion that fails is no report: the validator stays on", () => {
    const { lockdep, task } = setup();
    expect(() => new Mutex(lockdep, new LockClass("m")).assertHeld(task)).toThrow(LockAssertionError);
    expect(lockdep.active).toBe(true);
    expect(lockdep.reports).toEqual([]);
  });
});

describe("awaiting in a spin-type lock", () => {
  const take: Record<string, (lockdep: Lockdep, task: Task) => () => void> = {
    spinlock: (lockdep, task) => {
      const lock = new SpinLock(lockdep, new LockClass("spin"));
      lock.lock(task);
      return () => lock.unlock(task);
    },
    "rwlock read": (lockdep, task) => {
      const lock = new RwSpinLock(lockdep, new LockClass("mmu_lock"));
      lock.readLock(task);
      return () => lock.readUnlock(task);
    },
    "rwlock write": (lockdep, task) => {
      const lock = new RwSpinLock(lockdep, new LockClass("mmu_lock"));
      lock.writeLock(task);
      return () => lock.writeUnlock(task);
    },
  };

  test.each(Object.entries(take))("%s: is reported, with the lock and its task", async (_, lock) => {
    const { lockdep, task, kinds } = setup();
    const unlock = lock(lockdep, task);
    await undefined;
    expect(kinds()).toEqual(["atomic-sleep"]);
    expect(lockdep.reports[0]?.title).toBe("BUG: scheduling while atomic: task/1");
    expect(lockdep.reports[0]?.lock).toBeInstanceOf(LockMap);
    expect(lockdep.reports[0]?.lock).toBe(task.held[0]?.lock);
    unlock();
  });

  test.each(Object.entries(take))("%s: giving it back before is right", async (_, lock) => {
    const { lockdep, task, kinds } = setup();
    lock(lockdep, task)();
    await settle();
    lock(lockdep, task)();
    await settle();
    expect(kinds()).toEqual([]);
  });

  test("is noticed in a later turn as well, and with several locks", async () => {
    const { lockdep, task, other, kinds } = setup();
    const [a, b] = [new SpinLock(lockdep, new LockClass("a")), new SpinLock(lockdep, new LockClass("b"))];
    a.run(other, () => b.run(other, () => undefined));
    await settle();
    expect(kinds()).toEqual([]);
    a.lock(task);
    b.lock(task);
    b.unlock(task);
    await undefined;
    expect(kinds()).toEqual(["atomic-sleep"]);
    a.unlock(task);
  });

  test("mightSleep reports at once, at the place", () => {
    const { lockdep, task, other } = setup();
    new SpinLock(lockdep, new LockClass("spin")).lock(task);
    other.mightSleep();
    expect(lockdep.reports).toEqual([]);
    task.mightSleep();
    expect(lockdep.reports[0]?.title).toMatch(
      /^BUG: sleeping function called from invalid context at .*asserts.test.ts/,
    );
  });
});

describe("the end of things", () => {
  test("destroying a lock somebody holds is reported", async () => {
    const { lockdep, task, other, kinds } = setup();
    const mutex = new Mutex(lockdep, new LockClass("m"));
    await mutex.run(task, () => undefined);
    mutex.destroy(other);
    expect(kinds()).toEqual([]);
    await mutex.lock(task);
    mutex.destroy(other);
    expect(kinds()).toEqual(["held-lock-freed"]);
    expect(lockdep.reports[0]?.text).toContain("other/2 is freeing m, still held by task/1!");
  });

  test("destroying an SRCU domain with a reader in it is reported", () => {
    const { lockdep, task, other, kinds } = setup();
    const srcu = new Srcu(lockdep, new LockClass("srcu"));
    srcu.readUnlock(task, srcu.readLock(task));
    srcu.destroy(other);
    expect(kinds()).toEqual([]);
    srcu.readLock(task);
    srcu.destroy(other);
    expect(kinds()).toEqual(["held-lock-freed"]);
  });

  test("a task that ends with a lock is reported", async () => {
    const { lockdep, task, kinds } = setup();
    const mutex = new Mutex(lockdep, new LockClass("m"));
    await mutex.run(task, () => undefined);
    task.exit();
    expect(kinds()).toEqual([]);
    await mutex.lock(task);
    task.exit();
    expect(kinds()).toEqual(["exit-with-locks"]);
    expect(lockdep.reports[0]?.title).toBe("WARNING: task/1 still has locks held!");
  });
});

describe("throwReport", () => {
  test("throws where the lock would have been taken, and it is not taken", () => {
    const lockdep = new Lockdep({ onReport: throwReport });
    const task = new Task(lockdep, "task");
    const of = new LockClass("m");
    const [one, two] = [new Mutex(lockdep, of), new Mutex(lockdep, of)];
    void one.lock(task);
    const attempt = (): unknown => two.lock(task);
    expect(attempt).toThrow(LockdepError);
    expect(two.owner).toBeUndefined();
    expect(lockdep.reports.length).toBe(1);
  });

  test("carries the report", () => {
    const lockdep = new Lockdep({ onReport: throwReport });
    const map = new LockMap(lockdep, new LockClass("map"), WAIT_SLEEP);
    try {
      map.releaseMap(new Task(lockdep, "task"));
      expect.unreachable();
    } catch (error) {
      expect((error as LockdepError).report).toBe(lockdep.reports[0]);
      expect((error as LockdepError).message).toContain("WARNING: bad unlock balance detected!");
    }
  });
});

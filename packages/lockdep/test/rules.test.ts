import { describe, expect, test } from "vitest";
import {
  type Deadlock,
  EXCLUSIVE,
  LockClass,
  Lockdep,
  LockMap,
  Mutex,
  RECURSIVE,
  RwSemaphore,
  RwSpinLock,
  SHARED,
  SpinLock,
  Srcu,
  Task,
  WAIT_SLEEP,
} from "../src/index.js";

function setup() {
  const lockdep = new Lockdep({ onReport: () => undefined });
  const task = new Task(lockdep, "task");
  const kinds = (): string[] => lockdep.reports.map(({ kind }) => kind);
  const map = (name: string): LockMap => new LockMap(lockdep, new LockClass(name), WAIT_SLEEP);
  const mutex = (of: string | LockClass): Mutex => new Mutex(lockdep, of instanceof LockClass ? of : new LockClass(of));
  /** Takes and gives back, one in the other. */
  const nest = (...locks: LockMap[]): void => {
    for (const lock of locks) lock.acquireMap(task);
    for (const lock of locks.reverse()) lock.releaseMap(task);
  };
  return { lockdep, task, kinds, map, mutex, nest };
}

describe("trylock", () => {
  test("makes no dependency to the lock: both orders are right if one only tries", () => {
    const { lockdep, task, kinds, mutex, nest } = setup();
    const [a, b] = [mutex("a"), mutex("b")];
    nest(a, b);
    void b.lock(task);
    expect(a.tryLock(task)).toBe(true);
    expect(kinds()).toEqual([]);
    expect(lockdep.dependencies()).toEqual([{ from: "a", to: "b", kinds: ["EN"] }]);
  });

  test("makes dependencies from the lock, and lets those from the locks below through", () => {
    const { lockdep, task, kinds, map, mutex, nest } = setup();
    const [a, b, c] = [mutex("a"), mutex("b"), map("c")];
    a.tryLock(task);
    b.tryLock(task);
    c.acquireMap(task);
    expect(lockdep.dependencies().map(({ from, to }) => from + to)).toEqual(["ac", "bc"]);
    c.releaseMap(task);
    b.unlock(task);
    a.unlock(task);
    nest(c, a);
    expect(kinds()).toEqual(["circular"]);
  });

  test("stops at the first lock below that was waited for, which passes on what is below it", () => {
    const { lockdep, task, map, mutex } = setup();
    const [a, b, c, d] = [map("a"), map("b"), mutex("c"), map("d")];
    a.acquireMap(task);
    b.acquireMap(task);
    c.tryLock(task);
    d.acquireMap(task);
    expect(lockdep.dependencies().map(({ from, to }) => from + to)).toEqual(["ab", "bd", "cd"]);
  });

  test("a sequence known from trying is checked anew when it waits", () => {
    const { task, kinds, mutex, nest } = setup();
    const [a, b] = [mutex("a"), mutex("b")];
    nest(a, b);
    void b.lock(task);
    a.tryLock(task);
    a.unlock(task);
    void a.lock(task);
    expect(kinds()).toEqual(["circular"]);
  });

  test("of a lock that is taken fails and is not on the task's list", () => {
    const { lockdep, task, mutex } = setup();
    const other = new Task(lockdep, "other");
    const a = mutex("a");
    void a.lock(other);
    expect(a.tryLock(task)).toBe(false);
    expect(task.held).toEqual([]);
  });
});

describe("several locks of one class", () => {
  const vcpus = new LockClass("&vcpu->mutex");

  test("are reported without an annotation", () => {
    const { task, kinds, mutex } = setup();
    void mutex(vcpus).lock(task);
    void mutex(vcpus).lock(task);
    expect(kinds()).toEqual(["recursive"]);
  });

  test("may be taken in any number below a nest lock", () => {
    const { lockdep, task, kinds, mutex, map } = setup();
    const kvm = mutex("&kvm->lock");
    void kvm.lock(task);
    const mutexes = Array.from({ length: 64 }, () => mutex(vcpus));
    for (const vcpu of mutexes) void vcpu.lock(task, { nest: kvm });
    const slots = map("&kvm->slots_lock");
    slots.acquireMap(task);
    slots.releaseMap(task);
    expect(task.held.length).toBe(65);
    expect(lockdep.stats).toEqual({ classes: 3, dependencies: 2, chains: 3 });
    for (const vcpu of mutexes.reverse()) vcpu.unlock(task);
    kvm.unlock(task);
    expect(task.held).toEqual([]);
    expect(kinds()).toEqual([]);
  });

  test("below a nest lock may have another class between them, and what is taken then depends on that as well", () => {
    const { lockdep, task, kinds, mutex, map } = setup();
    const kvm = mutex("kvm");
    const [first, between, second, inner] = [mutex(vcpus), map("between"), mutex(vcpus), map("inner")];
    void kvm.lock(task);
    void first.lock(task, { nest: kvm });
    between.acquireMap(task);
    void second.lock(task, { nest: kvm });
    inner.acquireMap(task);
    expect(kinds()).toEqual([]);
    expect(lockdep.dependencies().map(({ from, to }) => `${from} ${to}`)).toContain("between inner");
  });

  test("with a nest lock that is not held are reported", () => {
    const { task, kinds, mutex } = setup();
    void mutex(vcpus).lock(task, { nest: mutex("&kvm->lock") });
    expect(kinds()).toEqual(["nest-lock-not-held"]);
  });

  test("are classes of their own by subclass, with an order of their own", () => {
    const { lockdep, task, kinds, mutex } = setup();
    const [parent, child] = [mutex(vcpus), mutex(vcpus)];
    void parent.lock(task);
    void child.lock(task, { subclass: 1 });
    child.unlock(task);
    parent.unlock(task);
    expect(lockdep.dependencies()).toEqual([{ from: "&vcpu->mutex", to: "&vcpu->mutex/1", kinds: ["EN"] }]);
    void child.lock(task, { subclass: 1 });
    void parent.lock(task);
    expect(kinds()).toEqual(["circular"]);
  });

  test("have subclasses 0 to 7", () => {
    const { task, mutex } = setup();
    for (const subclass of [-1, 8, 0.5]) expect(() => mutex(vcpus).lock(task, { subclass })).toThrow(RangeError);
  });

  test("follow the order their class gives them, also when the sequence of classes is known", () => {
    const index = new Map<LockMap, number>();
    const ordered = new LockClass("ordered", {
      order: (held, next) => (index.get(held) ?? 0) - (index.get(next) ?? 0),
    });
    const { task, kinds, mutex } = setup();
    const [one, two, three] = [mutex(ordered), mutex(ordered), mutex(ordered)];
    for (const [k, lock] of [one, two, three].entries()) index.set(lock, k);
    const take = (...locks: readonly Mutex[]): void => {
      for (const lock of locks) void lock.lock(task);
      for (const lock of locks) if (lock.owner === task) lock.unlock(task);
    };
    take(one, two, three);
    take(two, three);
    expect(kinds()).toEqual([]);
    take(three, two);
    expect(kinds()).toEqual(["recursive"]);
  });
});

describe("class names", () => {
  test("count the classes of one name, in the order of first use", () => {
    const { lockdep, map, nest } = setup();
    const [a, b, c] = [map("lock"), map("lock"), map("lock")];
    nest(b, a);
    nest(a, c);
    expect(lockdep.dependencies().map(({ from, to }) => [from, to])).toEqual([
      ["lock", "lock#2"],
      ["lock#2", "lock#3"],
    ]);
    expect([a, b, c].map((lock) => lockdep.describe(lock))).toEqual(["lock#2", "lock", "lock#3"]);
  });
});

describe("release", () => {
  test("in any order leaves the right locks held", () => {
    const { lockdep, task, map } = setup();
    const [a, b, c] = [map("a"), map("b"), map("c")];
    for (const lock of [a, b, c]) lock.acquireMap(task);
    a.releaseMap(task);
    expect(task.held.map(({ lock }) => lock)).toEqual([b, c]);
    b.releaseMap(task);
    const d = map("d");
    d.acquireMap(task);
    expect(lockdep.dependencies().map(({ from, to }) => from + to)).toEqual(["ab", "bc", "cd"]);
    c.releaseMap(task);
    d.releaseMap(task);
    expect(task.held).toEqual([]);
  });

  test("of a lock not held is reported", () => {
    const { task, kinds, map } = setup();
    map("a").releaseMap(task);
    expect(kinds()).toEqual(["unlock-balance"]);
  });

  test("by another task than the one that took it is reported", () => {
    const { lockdep, task, kinds, map } = setup();
    const a = map("a");
    a.acquireMap(task);
    a.releaseMap(new Task(lockdep, "other"));
    expect(kinds()).toEqual(["unlock-balance"]);
  });
});

describe("rw-semaphore", () => {
  test("a downgraded writer is a reader from then on", async () => {
    const { lockdep, task, kinds, map } = setup();
    const sem = new RwSemaphore(lockdep, new LockClass("sem"));
    const inner = map("inner");
    await sem.downWrite(task);
    inner.acquireMap(task);
    sem.downgradeWrite(task);
    expect(task.held.map(({ mode }) => mode)).toEqual([SHARED, EXCLUSIVE]);
    expect(() => sem.assertHeldExclusive(task)).toThrow("holds it shared");
    expect(lockdep.dependencies()).toEqual([{ from: "sem", to: "inner", kinds: ["SN", "EN"] }]);
    inner.releaseMap(task);
    sem.upRead(task);
    expect(kinds()).toEqual([]);
  });
});

describe("mightLock", () => {
  test("teaches the order without taking the lock", () => {
    const { task, kinds, map, mutex, nest } = setup();
    const [a, b] = [map("a"), mutex("b")];
    a.acquireMap(task);
    b.mightLock(task);
    expect(b.owner).toBeUndefined();
    a.releaseMap(task);
    expect(task.held).toEqual([]);
    nest(b, a);
    expect(kinds()).toEqual(["circular"]);
  });
});

describe("SRCU", () => {
  const srcuClass = new LockClass("&kvm->srcu");

  test("readers nest, in each other and in any order with locks they do not wait for", async () => {
    const { lockdep, task, kinds, mutex } = setup();
    const srcu = new Srcu(lockdep, srcuClass);
    const slotsArch = mutex("&kvm->slots_arch_lock");
    await srcu.read(task, () => srcu.read(task, () => slotsArch.run(task, () => "reader takes the lock")));
    await slotsArch.run(task, () => srcu.read(task, () => "lock holder reads"));
    expect(kinds()).toEqual([]);
  });

  test("waiting for readers with a lock a reader takes is reported", async () => {
    const { lockdep, task, kinds, mutex } = setup();
    const srcu = new Srcu(lockdep, srcuClass);
    const slots = mutex("&kvm->slots_lock");
    await slots.run(task, () => srcu.synchronize(task));
    expect(kinds()).toEqual([]);
    await srcu.read(task, () => slots.run(task, () => "too late"));
    expect(kinds()).toEqual(["circular"]);
  });

  test("waiting for readers as a reader is reported", () => {
    const deadlocks: Deadlock[] = [];
    const lockdep = new Lockdep({
      onReport: () => undefined,
      onDeadlock: (deadlock) => deadlocks.push(deadlock),
    });
    const task = new Task(lockdep, "task");
    const srcu = new Srcu(lockdep, srcuClass);
    srcu.readLock(task);
    void srcu.synchronize(task);
    expect(lockdep.reports.map(({ kind }) => kind)).toEqual(["recursive"]);
    expect(deadlocks.map(({ links }) => links.map(({ behind }) => behind))).toEqual([[task]]);
  });
});

describe("wait types", () => {
  test.each([
    ["a mutex", "wait-context", (lockdep: Lockdep, task: Task) => new Mutex(lockdep, new LockClass("m")).lock(task)],
    [
      "a rw-semaphore",
      "wait-context",
      (lockdep: Lockdep, task: Task) => new RwSemaphore(lockdep, new LockClass("s")).downRead(task),
    ],
    [
      "a grace period",
      "atomic-sleep",
      (lockdep: Lockdep, task: Task) => new Srcu(lockdep, new LockClass("r")).synchronize(task),
    ],
  ] as const)("%s may not be waited for in a spin lock", (_, kind, wait) => {
    const { lockdep, task, kinds } = setup();
    new RwSpinLock(lockdep, new LockClass("mmu_lock")).readLock(task);
    void wait(lockdep, task);
    expect(kinds()).toEqual([kind]);
  });

  test("trying to take a mutex in a spin lock is right: it does not await", () => {
    const { lockdep, task, kinds, mutex } = setup();
    new SpinLock(lockdep, new LockClass("spin")).lock(task);
    expect(mutex("m").tryLock(task)).toBe(true);
    expect(kinds()).toEqual([]);
  });

  test("an SRCU reader may be in a spin lock, and a mutex in an SRCU reader", async () => {
    const { lockdep, task, kinds, mutex } = setup();
    const srcu = new Srcu(lockdep, new LockClass("srcu"));
    const spin = new SpinLock(lockdep, new LockClass("spin"));
    spin.run(task, () => srcu.readUnlock(task, srcu.readLock(task)));
    await srcu.read(task, () => mutex("m").run(task, () => "sleeps"));
    expect(kinds()).toEqual([]);
  });
});

describe("the chain cache", () => {
  test("holds every sequence once, and a known one adds nothing", () => {
    const { lockdep, map, nest } = setup();
    const [a, b, c] = [map("a"), map("b"), map("c")];
    for (let k = 0; k < 3; k++) nest(a, b, c);
    expect(lockdep.stats).toEqual({ classes: 3, dependencies: 2, chains: 3 });
    nest(a, c);
    expect(lockdep.stats).toEqual({ classes: 3, dependencies: 3, chains: 4 });
  });

  test("tells modes apart", () => {
    const { lockdep, task, map } = setup();
    const [a, b] = [map("a"), map("b")];
    for (const mode of [RECURSIVE, SHARED, EXCLUSIVE]) {
      a.acquireMap(task, mode);
      b.acquireMap(task, mode);
      b.releaseMap(task);
      a.releaseMap(task);
    }
    expect(lockdep.dependencies()).toEqual([{ from: "a", to: "b", kinds: ["SR", "SN", "EN"] }]);
  });
});

describe("the switch", () => {
  test("a report turns the validator off; locks go on locking", () => {
    const { lockdep, task, kinds, map, mutex } = setup();
    const [a, b] = [map("a"), mutex("b")];
    a.releaseMap(task);
    expect(lockdep.active).toBe(false);
    a.releaseMap(task);
    void b.lock(task);
    b.assertNotHeld(task);
    expect(b.owner).toBe(task);
    b.unlock(task);
    expect(kinds()).toEqual(["unlock-balance"]);
  });

  test("disabled, nothing is kept and nothing is asserted", async () => {
    const lockdep = new Lockdep({ enabled: false });
    const task = new Task(lockdep, "task");
    const a = new Mutex(lockdep, new LockClass("a"));
    a.assertHeld(task);
    a.assertHeldExclusive(task);
    a.mightLock(task);
    await a.run(task, () => expect(task.held).toEqual([]));
    a.assertNotHeld(task);
    expect(lockdep.stats).toEqual({ classes: 0, dependencies: 0, chains: 0 });
  });
});

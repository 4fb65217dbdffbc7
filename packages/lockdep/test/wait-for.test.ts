import { describe, expect, test } from "vitest";
import {
  type Deadlock,
  findDeadlock,
  LockClass,
  Lockdep,
  type LockdepOptions,
  Mutex,
  RwSemaphore,
  Srcu,
  Task,
} from "../src/index.js";
import { everySchedule, type Run } from "./schedules.js";

const invalidateClass = new LockClass("mapping.invalidate_lock");
const mmapClass = new LockClass("&mm->mmap_lock");

function setup(enabled = false) {
  const deadlocks: Deadlock[] = [];
  const lockdep = new Lockdep({ enabled, onReport: () => undefined, onDeadlock: (found) => deadlocks.push(found) });
  const mutex = (name: string): Mutex => new Mutex(lockdep, new LockClass(name));
  const task = (name: string): Task => new Task(lockdep, name);
  return { lockdep, deadlocks, mutex, task };
}

describe("with the validator off", () => {
  test("two tasks that have each other's lock are named, with the locks", async () => {
    const { deadlocks, mutex, task } = setup();
    const [a, b, one, two] = [mutex("a"), mutex("b"), task("one"), task("two")];
    await a.lock(one);
    await b.lock(two);
    void b.lock(one);
    expect(deadlocks).toEqual([]);
    void a.lock(two);
    expect(deadlocks.map(({ text }) => text)).toEqual([
      [
        "DEADLOCK: 2 tasks wait for each other",
        " two/2 waits for exclusive use of a, held by one/1",
        " one/1 waits for exclusive use of b, held by two/2",
      ].join("\n"),
    ]);
    expect(deadlocks[0]?.links.map(({ task: who, behind }) => [who.comm, behind.comm])).toEqual([
      ["two", "one"],
      ["one", "two"],
    ]);
    expect(findDeadlock(one)?.links[0]?.wait.lock).toBe(b);
    expect(findDeadlock(task("bystander"))).toBeUndefined();
  });

  test("a task that takes its own mutex again waits for itself", async () => {
    const { deadlocks, mutex, task } = setup();
    const [a, one] = [mutex("a"), task("one")];
    await a.lock(one);
    void a.lock(one);
    expect(deadlocks.map(({ text }) => text)).toEqual([
      "DEADLOCK: a task waits for itself\n one/1 waits for exclusive use of a, held by one/1",
    ]);
  });

  test("two readers of each other's lock deadlock through the writers that wait, and all are named", async () => {
    const { lockdep, deadlocks, task } = setup();
    const [a, b] = [new RwSemaphore(lockdep, new LockClass("a")), new RwSemaphore(lockdep, new LockClass("b"))];
    const [one, two, writer] = [task("one"), task("two"), task("writer")];
    await a.downRead(one);
    await b.downWrite(two);
    void a.downWrite(writer);
    void a.downRead(two);
    expect(deadlocks).toEqual([]);
    void b.downRead(one);
    expect(deadlocks.map(({ text }) => text)).toEqual([
      [
        "DEADLOCK: 3 tasks wait for each other",
        " one/1 waits for shared use of b, held by two/2",
        " two/2 waits for shared use of a, for which writer/3 waits before it",
        " writer/3 waits for exclusive use of a, held by one/1",
      ].join("\n"),
    ]);
  });

  test("a grace period and a lock can deadlock", async () => {
    const { lockdep, deadlocks, mutex, task } = setup();
    const srcu = new Srcu(lockdep, new LockClass("srcu"));
    const [slots, reader, updater] = [mutex("slots"), task("reader"), task("updater")];
    srcu.readLock(reader);
    await slots.lock(updater);
    void srcu.synchronize(updater);
    void slots.lock(reader);
    expect(deadlocks.map(({ text }) => text)).toEqual([
      [
        "DEADLOCK: 2 tasks wait for each other",
        " reader/1 waits for exclusive use of slots, held by updater/2",
        " updater/2 waits for the readers of srcu, held by reader/1",
      ].join("\n"),
    ]);
  });

  test("tasks that queue for one lock do not deadlock", async () => {
    const { deadlocks, mutex, task } = setup();
    const [a, b] = [mutex("a"), mutex("b")];
    const done = ["one", "two", "three"].map((name) => {
      const who = task(name);
      return a.run(who, () => b.run(who, () => name));
    });
    expect(await Promise.all(done)).toEqual(["one", "two", "three"]);
    expect(deadlocks).toEqual([]);
  });
});

test("with the validator enabled the deadlock says where, though the validator has spoken by then", async () => {
  const { deadlocks, mutex, task } = setup(true);
  const [a, one] = [mutex("a"), task("one")];
  await a.lock(one);
  void a.lock(one);
  expect(deadlocks[0]?.text).toContain("one/1 waits for exclusive use of a, held by one/1, at: ");
  expect(deadlocks[0]?.text).toContain("wait-for.test.ts");
});

describe("populate, a fault and mmap() under every schedule", () => {
  /** `copyInside` is the order the kernel had: the source page is taken with invalidate_lock held. */
  const host =
    (copyInside: boolean, enabled: boolean, deadlocks: Deadlock[]) =>
    (beforeAcquire: NonNullable<LockdepOptions["beforeAcquire"]>) => {
      const lockdep = new Lockdep({
        enabled,
        beforeAcquire,
        onReport: () => undefined,
        onDeadlock: (found) => deadlocks.push(found),
      });
      const invalidateLock = new RwSemaphore(lockdep, invalidateClass);
      const mmapLock = new RwSemaphore(lockdep, mmapClass);
      const [populate, fault, mmap] = ["populate", "fault", "mmap"].map((name) => new Task(lockdep, name)) as [
        Task,
        Task,
        Task,
      ];
      const getPage = (): Promise<string> => mmapLock.read(populate, () => "source page");
      const bodies = [
        async () => {
          if (!copyInside) await getPage();
          await invalidateLock.write(populate, () => (copyInside ? getPage() : "copy"));
        },
        () => mmapLock.read(fault, () => invalidateLock.read(fault, () => "map")),
        () => mmapLock.write(mmap, () => "new area"),
      ];
      return { lockdep, bodies };
    };

  test("the old order hangs in some, and the wait-for graph names who hangs in each of them", async () => {
    const runs: Run[] = [];
    const deadlocks: Deadlock[] = [];
    const schedules = await everySchedule(host(true, false, deadlocks), (run) => runs.push(run));
    const hung = runs.filter(({ finished }) => !finished);
    expect(schedules).toBeGreaterThan(hung.length);
    expect(hung.length).toBeGreaterThan(0);
    expect(deadlocks.length).toBe(hung.length);
    for (const { links } of deadlocks)
      expect(new Set(links.map(({ task }) => task.comm))).toEqual(new Set(["populate", "fault", "mmap"]));
  });

  test("the validator speaks in every schedule of the old order, hung or not", async () => {
    const schedules = await everySchedule(host(true, true, []), (_, lockdep) =>
      expect(lockdep.reports.map(({ kind }) => kind)).toEqual(["circular"]),
    );
    expect(schedules).toBeGreaterThan(10);
  });

  test("the new order always comes to an end, without a report", async () => {
    const deadlocks: Deadlock[] = [];
    const schedules = await everySchedule(host(false, true, deadlocks), ({ finished }, lockdep) => {
      expect(finished).toBe(true);
      expect(lockdep.reports).toEqual([]);
    });
    expect(schedules).toBeGreaterThan(10);
    expect(deadlocks).toEqual([]);
  });
});

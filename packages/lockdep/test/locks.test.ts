import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  LockClass,
  Lockdep,
  LockUsageError,
  Mutex,
  RwSemaphore,
  RwSpinLock,
  SpinLock,
  Srcu,
  Task,
} from "../src/index.js";

/** Lets every continuation run that is ready, and those that become so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe.each([true, false])("with the validator %s", (enabled) => {
  const make = () => {
    const lockdep = new Lockdep({ enabled, onReport: (report) => expect.unreachable(report.text) });
    const tasks = Array.from({ length: 4 }, (_, k) => new Task(lockdep, `t${k}`)) as [Task, Task, Task, Task];
    return { lockdep, tasks };
  };

  test("a mutex goes to those who wait in the order in which they came", async () => {
    const { lockdep, tasks } = make();
    const mutex = new Mutex(lockdep, new LockClass("m"));
    const order: string[] = [];
    await Promise.all(
      tasks.map((task) =>
        mutex.run(task, async () => {
          order.push(`${task.comm} in`);
          await settle();
          order.push(`${task.comm} out`);
        }),
      ),
    );
    expect(order).toEqual(tasks.flatMap(({ comm }) => [`${comm} in`, `${comm} out`]));
    expect(mutex.owner).toBeUndefined();
  });

  test("a mutex given back by its owner is the next one's at once: nobody gets in between", () => {
    const { lockdep, tasks } = make();
    const mutex = new Mutex(lockdep, new LockClass("m"));
    void mutex.lock(tasks[0]);
    void mutex.lock(tasks[1]);
    mutex.unlock(tasks[0]);
    expect(mutex.owner).toBe(tasks[1]);
    expect(mutex.tryLock(tasks[2])).toBe(false);
  });

  test("a body that throws gives the lock back", async () => {
    const { lockdep, tasks } = make();
    const [task] = tasks;
    const mutex = new Mutex(lockdep, new LockClass("m"));
    const sem = new RwSemaphore(lockdep, new LockClass("s"));
    const srcu = new Srcu(lockdep, new LockClass("r"));
    const spin = new SpinLock(lockdep, new LockClass("sp"));
    const rw = new RwSpinLock(lockdep, new LockClass("rw"));
    const fail = (): never => {
      throw new Error("body");
    };
    await expect(mutex.run(task, fail)).rejects.toThrow("body");
    await expect(sem.read(task, fail)).rejects.toThrow("body");
    await expect(sem.write(task, fail)).rejects.toThrow("body");
    await expect(srcu.read(task, fail)).rejects.toThrow("body");
    expect(() => spin.run(task, fail)).toThrow("body");
    expect(() => rw.read(task, fail)).toThrow("body");
    expect(() => rw.write(task, fail)).toThrow("body");
    expect(task.held).toEqual([]);
    expect([mutex, sem, spin, rw, srcu].flatMap((lock) => lock._holders())).toEqual([]);
  });

  test("readers share, and a waiting writer keeps new readers out", async () => {
    const { lockdep, tasks } = make();
    const [one, two, writer, late] = tasks;
    const sem = new RwSemaphore(lockdep, new LockClass("s"));
    await sem.downRead(one);
    await sem.downRead(two);
    const events: string[] = [];
    void sem.downWrite(writer).then(() => events.push("writer"));
    void sem.downRead(late).then(() => events.push("late"));
    expect(sem.tryDownRead(late)).toBe(false);
    sem.upRead(one);
    await settle();
    expect(events).toEqual([]);
    sem.upRead(two);
    await settle();
    expect(events).toEqual(["writer"]);
    sem.upWrite(writer);
    await settle();
    expect(events).toEqual(["writer", "late"]);
  });

  test("a downgraded writer lets the readers in that wait first, and keeps writers out", async () => {
    const { lockdep, tasks } = make();
    const [writer, reader, next, last] = tasks;
    const sem = new RwSemaphore(lockdep, new LockClass("s"));
    await sem.downWrite(writer);
    const events: string[] = [];
    void sem.downRead(reader).then(() => events.push("reader"));
    void sem.downWrite(next).then(() => events.push("next"));
    void sem.downRead(last).then(() => events.push("last"));
    sem.downgradeWrite(writer);
    await settle();
    expect(events).toEqual(["reader"]);
    sem.upRead(writer);
    sem.upRead(reader);
    await settle();
    expect(events).toEqual(["reader", "next"]);
  });

  test("a rw-semaphore never has a writer beside anybody, loses nobody and is fair", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ exclusive: fc.boolean(), turns: fc.nat(3), start: fc.nat(3) }), { maxLength: 12 }),
        async (jobs) => {
          const { lockdep } = make();
          const sem = new RwSemaphore(lockdep, new LockClass("s"));
          let [readers, writers] = [0, 0];
          const asked: number[] = [];
          const got: number[] = [];
          await Promise.all(
            jobs.map(async ({ exclusive, turns, start }, k) => {
              const task = new Task(lockdep, `job${k}`);
              for (let turn = 0; turn < start; turn++) await undefined;
              asked.push(k);
              const body = async (): Promise<void> => {
                got.push(k);
                if (exclusive) writers++;
                else readers++;
                for (let turn = 0; turn < turns; turn++) {
                  expect(writers === 0 || (writers === 1 && readers === 0)).toBe(true);
                  await undefined;
                }
                if (exclusive) writers--;
                else readers--;
              };
              await (exclusive ? sem.write(task, body) : sem.read(task, body));
            }),
          );
          expect(got).toEqual(asked);
          expect([...sem._holders()]).toEqual([]);
        },
      ),
      { seed: 5, numRuns: 300 },
    );
  });

  test("synchronize waits for the readers there are, not for later ones", async () => {
    const { lockdep, tasks } = make();
    const [early, late, updater] = tasks;
    const srcu = new Srcu(lockdep, new LockClass("r"));
    const before = srcu.readLock(early);
    let over = false;
    const grace = srcu.synchronize(updater).then(() => {
      over = true;
    });
    await settle();
    const after = srcu.readLock(late);
    expect(over).toBe(false);
    srcu.readUnlock(early, before);
    await grace;
    expect(over).toBe(true);
    srcu.readUnlock(late, after);
    await srcu.synchronize(updater);
  });

  test("overlapping grace periods end in turn: the later one waits for the readers of both", async () => {
    const { lockdep, tasks } = make();
    const [first, second, one, two] = tasks;
    const srcu = new Srcu(lockdep, new LockClass("r"));
    const events: string[] = [];
    const a = srcu.readLock(first);
    void srcu.synchronize(one).then(() => events.push("one"));
    await settle();
    const b = srcu.readLock(second);
    void srcu.synchronize(two).then(() => events.push("two"));
    await settle();
    srcu.readUnlock(second, b);
    await settle();
    expect(events).toEqual([]);
    srcu.readUnlock(first, a);
    await settle();
    expect(events).toEqual(["one", "two"]);
  });

  test("the hook comes before every acquisition that may wait, and is waited for", async () => {
    const calls: string[] = [];
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const lockdep = new Lockdep({
      enabled,
      beforeAcquire: (task, lock) => {
        calls.push(`${task.comm} ${lock.lockClass.name}`);
        return lock.lockClass.name === "gated" ? gate : undefined;
      },
    });
    const task = new Task(lockdep, "t");
    const gated = new Mutex(lockdep, new LockClass("gated"));
    const sem = new RwSemaphore(lockdep, new LockClass("sem"));
    await sem.read(task, () => undefined);
    await sem.write(task, () => undefined);
    await new Srcu(lockdep, new LockClass("srcu")).synchronize(task);
    const locked = gated.lock(task);
    await settle();
    expect(gated.owner).toBeUndefined();
    open();
    await locked;
    expect(gated.owner).toBe(task);
    expect(calls).toEqual(["t sem", "t sem", "t srcu", "t gated"]);
  });
});

describe("misuse of a lock without a validator", () => {
  const lockdep = new Lockdep({ enabled: false });
  const [task, other] = [new Task(lockdep, "task", 1), new Task(lockdep, "other", 2)];

  test("a spin lock nobody will give back is an error, not a loop", () => {
    const spin = new SpinLock(lockdep, new LockClass("spin"));
    spin.lock(other);
    expect(() => spin.lock(task)).toThrow("task/1 would spin for ever on spin, held by other/2");
    const rw = new RwSpinLock(lockdep, new LockClass("rw"));
    rw.readLock(other);
    rw.readLock(task);
    expect(() => rw.writeLock(task)).toThrow("task/1 would spin for ever on rw, held by other/2, task/1");
    expect(rw.tryWriteLock(task)).toBe(false);
    rw.readUnlock(other);
    rw.readUnlock(task);
    rw.writeLock(other);
    expect(() => rw.readLock(task)).toThrow(expect.objectContaining({ code: "spin" }));
    expect(rw.tryReadLock(task)).toBe(false);
  });

  test("giving back what one does not have is an error", () => {
    const mutex = new Mutex(lockdep, new LockClass("mutex"));
    const sem = new RwSemaphore(lockdep, new LockClass("sem"));
    const spin = new SpinLock(lockdep, new LockClass("spin"));
    const rw = new RwSpinLock(lockdep, new LockClass("rw"));
    const srcu = new Srcu(lockdep, new LockClass("srcu"));
    void mutex.lock(other);
    void sem.downRead(other);
    expect(() => mutex.unlock(task)).toThrow("task/1 unlocks mutex, of other/2");
    expect(() => spin.unlock(task)).toThrow("task/1 unlocks spin, of nobody");
    expect(() => sem.upRead(task)).toThrow("task/1 releases sem, held shared; it is held by other/2");
    expect(() => sem.upWrite(other)).toThrow("other/2 releases sem, held exclusively; it is held by other/2");
    expect(() => sem.downgradeWrite(other)).toThrow(LockUsageError);
    expect(() => rw.readUnlock(task)).toThrow(expect.objectContaining({ code: "release" }));
    expect(() => rw.writeUnlock(task)).toThrow(LockUsageError);
    const token = srcu.readLock(task);
    expect(() => srcu.readUnlock(other, token)).toThrow("other/2 leaves srcu with a token it does not have");
    srcu.readUnlock(task, token);
    expect(() => srcu.readUnlock(task, token)).toThrow(LockUsageError);
    const elsewhere = new Srcu(lockdep, new LockClass("elsewhere")).readLock(task);
    expect(() => srcu.readUnlock(task, elsewhere)).toThrow(LockUsageError);
    expect(mutex.owner).toBe(other);
  });

  test("a task that waits cannot take anything: it is in two places", () => {
    const [mutex, sem] = [new Mutex(lockdep, new LockClass("mutex")), new RwSemaphore(lockdep, new LockClass("sem"))];
    const [here, there] = [new Task(lockdep, "here", 3), new Task(lockdep, "there", 4)];
    void mutex.lock(there);
    void mutex.lock(here);
    const message = "here/3 takes sem while it waits for mutex: what runs concurrently needs a task of its own";
    expect(() => sem.downRead(here)).toThrow(message);
    mutex.unlock(there);
    void sem.downRead(here);
    expect(sem._holders()).toEqual([here]);
  });

  test("a task and its locks belong to one Lockdep", () => {
    const [one, two] = [new Lockdep(), new Lockdep()];
    const mutex = new Mutex(one, new LockClass("mutex"));
    expect(() => mutex.lock(new Task(two, "task"))).toThrow(
      "task/1 takes mutex, which belongs to another Lockdep than the task",
    );
    expect(mutex.owner).toBeUndefined();
  });
});

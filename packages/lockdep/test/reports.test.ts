import { describe, expect, test, vi } from "vitest";
import {
  captureStack,
  LockClass,
  Lockdep,
  type LockdepOptions,
  Mutex,
  RwSemaphore,
  SpinLock,
  Task,
} from "../src/index.js";

/** A host whose stacks are named by the test. */
function setup(options: LockdepOptions = {}) {
  let site = "start";
  const lockdep = new Lockdep({
    onReport: () => undefined,
    captureStack: () => ({ site, frames: [site, "main"] }),
    style: { identity: "6.17.0 #1" },
    ...options,
  });
  return {
    lockdep,
    task: new Task(lockdep, "task"),
    mutex: (of: string | LockClass) => new Mutex(lockdep, of instanceof LockClass ? of : new LockClass(of)),
    at: (name: string) => {
      site = name;
    },
    text: () => lockdep.reports[0]?.text.split("\n"),
  };
}

const TRACE = (...frames: string[]): string[] => [
  "stack backtrace:",
  "Call Trace:",
  " <TASK>",
  ...frames.map((frame) => ` ${frame}`),
  " </TASK>",
];

test("recursive locking, with what the order of the class says", () => {
  const { lockdep, task, mutex, at, text } = setup();
  const of = new LockClass("&vcpu->mutex", { order: () => 1 });
  at("first");
  void mutex(of).lock(task);
  at("second");
  void mutex(of).lock(task);
  expect(text()).toEqual([
    "============================================",
    "WARNING: possible recursive locking detected",
    "6.17.0 #1",
    "--------------------------------------------",
    "task/1 is trying to acquire lock:",
    "0000000000000002 (&vcpu->mutex){+.+.}-{4:4}, at: second",
    "",
    "but task is already holding lock:",
    "0000000000000001 (&vcpu->mutex){+.+.}-{4:4}, at: first",
    "and the lock comparison function returns 1:",
    "",
    "other info that might help us debug this:",
    " Possible unsafe locking scenario:",
    "",
    "       CPU0",
    "       ----",
    "  lock(&vcpu->mutex);",
    "  lock(&vcpu->mutex);",
    "",
    " *** DEADLOCK ***",
    "",
    " May be due to missing lock nesting notation",
    "",
    "1 lock held by task/1:",
    " #0: 0000000000000001 (&vcpu->mutex){+.+.}-{4:4}, at: first",
    "",
    ...TRACE("second", "main"),
  ]);
  expect(lockdep.reports[0]?.lock?.id).toBe(2);
});

test("a circle of three, with the chain that exists", () => {
  const { task, mutex, at, text } = setup();
  const [a, b, c] = [mutex("a"), mutex("b"), mutex("c")];
  const pair = (first: Mutex, second: Mutex, name: string): void => {
    at(`${name} outer`);
    void first.lock(task);
    at(`${name} inner`);
    void second.lock(task);
    second.unlock(task);
    first.unlock(task);
  };
  pair(a, b, "ab");
  pair(b, c, "bc");
  pair(c, a, "ca");
  expect(text()).toEqual([
    "======================================================",
    "WARNING: possible circular locking dependency detected",
    "6.17.0 #1",
    "------------------------------------------------------",
    "task/1 is trying to acquire lock:",
    "0000000000000001 (a){+.+.}-{4:4}, at: ca inner",
    "",
    "but task is already holding lock:",
    "0000000000000003 (c){+.+.}-{4:4}, at: ca outer",
    "",
    "which lock already depends on the new lock.",
    "",
    "",
    "the existing dependency chain (in reverse order) is:",
    "",
    "-> #2 (c){+.+.}-{4:4}:",
    "      bc inner",
    "      main",
    "",
    "-> #1 (b){+.+.}-{4:4}:",
    "      ab inner",
    "      main",
    "",
    "-> #0 (a){+.+.}-{4:4}:",
    "      ca inner",
    "      main",
    "",
    "other info that might help us debug this:",
    "",
    "Chain exists of:",
    "  a --> b --> c",
    "",
    " Possible unsafe locking scenario:",
    "",
    "       CPU0                    CPU1",
    "       ----                    ----",
    "  lock(c);",
    "                               lock(b);",
    "                               lock(c);",
    "  lock(a);",
    "",
    " *** DEADLOCK ***",
    "",
    "1 lock held by task/1:",
    " #0: 0000000000000003 (c){+.+.}-{4:4}, at: ca outer",
    "",
    ...TRACE("ca inner", "main"),
  ]);
});

test("an invalid wait context", () => {
  const { lockdep, task, mutex, at, text } = setup();
  const spin = new SpinLock(lockdep, new LockClass("spin"));
  at("spin");
  spin.lock(task);
  at("sleep");
  void mutex("m").lock(task, { subclass: 1 });
  expect(text()).toEqual([
    "=============================",
    "[ BUG: Invalid wait context ]",
    "6.17.0 #1",
    "-----------------------------",
    "task/1 is trying to lock:",
    "0000000000000002 (m/1){+.+.}-{4:4}, at: sleep",
    "other info that might help us debug this:",
    "context-{5:5}",
    "1 lock held by task/1:",
    " #0: 0000000000000001 (spin){+.+.}-{3:3}, at: spin",
    ...TRACE("sleep", "main"),
  ]);
  spin.unlock(task);
});

test("a nest lock that is not held", () => {
  const { task, mutex, text } = setup();
  void mutex("vcpu").lock(task, { nest: mutex("kvm") });
  expect(text()).toEqual([
    "==================================",
    "WARNING: Nested lock was not taken",
    "6.17.0 #1",
    "----------------------------------",
    "task/1 is trying to lock:",
    expect.stringMatching(/^[0-9a-f]{16} \(vcpu\)\{....\}-\{4:4\}, at: start$/),
    "",
    "but this task is not holding:",
    "kvm",
    "",
    ...TRACE("start", "main"),
    "",
    "other info that might help us debug this:",
    "no locks held by task/1.",
  ]);
});

test("a bad unlock balance", () => {
  const { lockdep, task, mutex, text } = setup();
  const [a, b] = [mutex("a"), new RwSemaphore(lockdep, new LockClass("b"))];
  void a.lock(task);
  void b.downRead(task);
  expect(() => mutex("c").unlock(task)).toThrow("task/1 unlocks c, of nobody");
  expect(text()).toEqual([
    "=====================================",
    "WARNING: bad unlock balance detected!",
    "6.17.0 #1",
    "-------------------------------------",
    "task/1 is trying to release lock (c) at:",
    "start",
    "but there are no more locks to release!",
    "",
    "other info that might help us debug this:",
    "2 locks held by task/1:",
    " #0: 0000000000000001 (a){+.+.}-{4:4}, at: start",
    " #1: 0000000000000002 (b){.+.+}-{4:4}, at: start",
    "",
    ...TRACE("start", "main"),
  ]);
});

describe("style", () => {
  test("the list of held locks as kernel 7.3 heads it", () => {
    const { task, mutex, text } = setup({ style: { heldHeader: "7.3" } });
    void mutex("a").lock(task);
    expect(() => mutex("c").unlock(task)).toThrow();
    expect(text()).toContain("locks held by task/1: 1, on CPU#0:");
    expect(text()).not.toContain("6.17.0 #1");
  });
});

describe("where", () => {
  test("a held lock was taken is where its sequence was first reached, or, if asked for, exactly", () => {
    for (const everySite of [false, true]) {
      const { task, mutex, at } = setup({ everySite });
      const a = mutex("a");
      for (const site of ["first", "second"]) {
        at(site);
        void a.lock(task);
        expect(task.held[0]?.stack?.site).toBe(everySite ? site : "first");
        a.unlock(task);
      }
    }
  });

  test("is asked of the engine by default: the caller of the lock comes first", async () => {
    const lockdep = new Lockdep({ onReport: () => undefined });
    const task = new Task(lockdep, "task");
    const sem = new RwSemaphore(lockdep, new LockClass("sem"));
    const spin = new SpinLock(lockdep, new LockClass("spin"));
    async function caller(): Promise<void> {
      await sem.read(task, () => {
        expect(task.held[0]?.stack?.site).toMatch(/caller.*reports\.test\.ts/);
        spin.run(task, () => expect(task.held[1]?.stack?.site).toMatch(/reports\.test\.ts/));
      });
    }
    await caller();
  });

  test("is asked of the engine after an await as well", async () => {
    const lockdep = new Lockdep({ onReport: () => undefined, beforeAcquire: async () => undefined });
    const task = new Task(lockdep, "task");
    const sem = new RwSemaphore(lockdep, new LockClass("sem"));
    await sem.write(task, () => expect(task.held[0]?.stack?.site).toMatch(/reports\.test\.ts/));
  });

  test("in an engine without Error.captureStackTrace is what its stack says", () => {
    const engine = Error as { captureStackTrace?: unknown };
    const { captureStackTrace } = engine;
    engine.captureStackTrace = undefined;
    try {
      const { frames } = captureStack(setup);
      expect(frames.some((frame) => frame.includes("reports.test.ts"))).toBe(true);
    } finally {
      engine.captureStackTrace = captureStackTrace;
    }
  });
});

test("without handlers, reports and deadlocks go to the console", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const lockdep = new Lockdep();
  const task = new Task(lockdep, "task");
  const mutex = new Mutex(lockdep, new LockClass("m"));
  void mutex.lock(task);
  void mutex.lock(task);
  const printed = warn.mock.calls.map(([text]) =>
    String(text)
      .split("\n")
      .find((line) => /[A-Z]{4}/.test(line)),
  );
  warn.mockRestore();
  expect(printed).toEqual(["WARNING: possible recursive locking detected", "DEADLOCK: a task waits for itself"]);
});

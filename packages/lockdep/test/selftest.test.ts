import { describe, expect, test } from "vitest";
import {
  LockClass,
  Lockdep,
  LockMap,
  LockUsageError,
  Mutex,
  RECURSIVE,
  RwSemaphore,
  RwSpinLock,
  SHARED,
  SpinLock,
  Task,
  WAIT_CONFIG,
} from "../src/index.js";
import { generic, KINDS, type Kind, permuted, specific, waitContexts } from "./selftest.table.js";

/** The words a generic row's L and U stand for. */
const WORDS: Record<Kind, readonly [take: string, give: string]> = {
  spin: ["S", "SU"],
  wlock: ["WL", "WU"],
  rlock: ["RL", "RU"],
  mutex: ["ML", "MU"],
  wsem: ["WSL", "WSU"],
  rsem: ["RSL", "RSU"],
};

interface Set {
  readonly spin: SpinLock;
  readonly rwlock: RwSpinLock;
  readonly mutex: Mutex;
  readonly rwsem: RwSemaphore;
}

const WORD: Record<string, (set: Set, task: Task) => unknown> = {
  S: ({ spin }, task) => spin.lock(task),
  SU: ({ spin }, task) => spin.unlock(task),
  WL: ({ rwlock }, task) => rwlock.writeLock(task),
  WU: ({ rwlock }, task) => rwlock.writeUnlock(task),
  RL: ({ rwlock }, task) => rwlock.readLock(task),
  RU: ({ rwlock }, task) => rwlock.readUnlock(task),
  ML: ({ mutex }, task) => mutex.lock(task),
  MU: ({ mutex }, task) => mutex.unlock(task),
  WSL: ({ rwsem }, task) => rwsem.downWrite(task),
  WSU: ({ rwsem }, task) => rwsem.upWrite(task),
  RSL: ({ rwsem }, task) => rwsem.downRead(task),
  RSU: ({ rwsem }, task) => rwsem.upRead(task),
  I: (set, task) => Object.values(set).forEach((lock: LockMap) => void lock.destroy(task)),
};

/** Runs a program and tells the kinds of the reports. What is taken stays taken: nobody has to wait in these programs. */
function run(program: string): string[] {
  const lockdep = new Lockdep({ onReport: () => undefined });
  const classes = new Map<string, Record<keyof Set, LockClass>>();
  const sets = new Map<string, Set>();
  const classOf = (name: string): Record<keyof Set, LockClass> => {
    const known = classes.get(name);
    if (known !== undefined) return known;
    const made = {
      spin: new LockClass(`lock_${name}`),
      rwlock: new LockClass(`rwlock_${name}`),
      mutex: new LockClass(`mutex_${name}`),
      rwsem: new LockClass(`rwsem_${name}`),
    };
    classes.set(name, made);
    return made;
  };
  const setOf = (name: string): Set => {
    const known = sets.get(name);
    if (known !== undefined) return known;
    const of = classOf(name.replace(/\d/, ""));
    const made = {
      spin: new SpinLock(lockdep, of.spin),
      rwlock: new RwSpinLock(lockdep, of.rwlock, { recursiveRead: true }),
      mutex: new Mutex(lockdep, of.mutex),
      rwsem: new RwSemaphore(lockdep, of.rwsem),
    };
    sets.set(name, made);
    return made;
  };
  const task = new Task(lockdep, "selftest");
  for (const [, word = "", name = ""] of program.matchAll(/(\w+)\((\w+)\)/g)) {
    const step = WORD[word];
    if (step === undefined) throw new Error(`no word ${word} in the table's language`);
    try {
      step(setOf(name), task);
    } catch (error) {
      if (!(error instanceof LockUsageError)) throw error;
    }
  }
  return lockdep.reports.map(({ kind }) => kind);
}

const translated = (program: string, kind: Kind): string => {
  const [take, give] = WORDS[kind];
  return program.replace(/\bL\(/g, `${take}(`).replace(/\bU\(/g, `${give}(`);
};

describe("locks of one kind", () => {
  for (const { name, program, reports } of generic)
    test.each(KINDS)(`${name}, %s`, (kind) => {
      expect(run(translated(program, kind)).length).toBe(reports[kind] ? 1 : 0);
    });
});

describe("mixed locks", () => {
  test.each(specific)("$name", ({ program, report }) => {
    expect(run(program).length).toBe(report ? 1 : 0);
  });
});

describe("three events in any order", () => {
  for (const { name, events, report } of permuted)
    test.each([
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ])(`${name}: %i %i %i`, (...order) => {
      expect(run(order.map((k) => events[k]).join(" ")).length).toBe(report ? 1 : 0);
    });
});

describe("a queued rwlock: readers in an interrupt are recursive, others are not", () => {
  const cases = [
    { name: "read-lock/lock-read", first: ["A", "B"], report: true },
    { name: "lock-read/read-lock", first: ["B", "A"], report: false },
  ];
  test.each(cases)("$name", ({ first, report }) => {
    const lockdep = new Lockdep({ onReport: () => undefined });
    const a = new LockMap(lockdep, new LockClass("rwlock_A"), WAIT_CONFIG);
    const b = new LockMap(lockdep, new LockClass("lock_B"), WAIT_CONFIG);
    const [irq, task] = [new Task(lockdep, "irq"), new Task(lockdep, "task")];
    const nest = (who: Task, names: string[], mode: typeof SHARED): void => {
      const locks = names.map((name) => (name === "A" ? a : b));
      for (const lock of locks) lock.acquireMap(who, lock === a ? mode : 0);
      for (const lock of locks.reverse()) lock.releaseMap(who);
    };
    nest(irq, first, RECURSIVE);
    nest(task, [...first].reverse(), SHARED);
    expect(lockdep.reports.length).toBe(report ? 1 : 0);
  });
});

describe("wait contexts", () => {
  const INNER = ["rcu", "raw", "spin", "mutex"];
  const make = (lockdep: Lockdep, name: string): ((task: Task) => unknown) => {
    const of = new LockClass(name);
    const section = (inner: number) => {
      const map = new LockMap(lockdep, of, { outer: 1, inner });
      return (task: Task): void => map.acquireMap(task, RECURSIVE);
    };
    if (name.startsWith("rcu")) return section(name === "rcu-sched" ? 2 : 3);
    if (name === "mutex") {
      const mutex = new Mutex(lockdep, of);
      return (task) => mutex.lock(task);
    }
    const spin = new SpinLock(lockdep, of, { raw: name === "raw" });
    return (task) => spin.lock(task);
  };
  for (const { outer, allowed } of waitContexts)
    test.each(INNER)(`%s in ${outer}`, (inner) => {
      const lockdep = new Lockdep({ onReport: () => undefined });
      const task = new Task(lockdep, "selftest");
      make(lockdep, outer)(task);
      make(lockdep, inner)(task);
      expect(lockdep.reports.map(({ kind }) => kind)).toEqual(allowed.includes(inner) ? [] : ["wait-context"]);
    });
});

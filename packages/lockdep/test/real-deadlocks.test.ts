import fc from "fast-check";
import { expect, test } from "vitest";
import { LockClass, Lockdep, LockMap, type Mode, Task, WAIT_SLEEP } from "../src/index.js";
import { canDeadlock, nest, type Op } from "./real-deadlocks.js";

const LOCKS = 3;
const mode = fc.constantFrom<Mode[]>(0, 1, 2);
const program = fc
  .array(fc.array(fc.record({ lock: fc.nat(LOCKS - 1), mode }), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 2,
  })
  .map((nests) => nests.flatMap(nest));

/** Runs the programs one after the other, so that nobody ever waits, and tells whether the validator spoke. */
function reported(programs: readonly (readonly Op[])[]): boolean {
  const lockdep = new Lockdep({ onReport: () => undefined });
  const locks = Array.from({ length: LOCKS }, (_, k) => new LockMap(lockdep, new LockClass(`${k}`), WAIT_SLEEP));
  for (const ops of programs) {
    const task = new Task(lockdep, "task");
    for (const { lock, take } of ops) {
      if (take === undefined) locks[lock]?.releaseMap(task);
      else locks[lock]?.acquireMap(task, take);
    }
  }
  return lockdep.reports.length > 0;
}

test("whatever can deadlock in some interleaving is reported without any", () => {
  let deadlocks = 0;
  fc.assert(
    fc.property(fc.array(program, { minLength: 2, maxLength: 3 }), (programs) => {
      if (!canDeadlock(programs, LOCKS)) return;
      deadlocks++;
      expect(reported(programs)).toBe(true);
    }),
    { seed: 5, numRuns: 4000 },
  );
  expect(deadlocks).toBeGreaterThan(500);
});

test("locks taken in one order, and shared again only recursively, never deadlock and are never reported", () => {
  const ordered = fc
    .array(fc.array(fc.record({ lock: fc.nat(LOCKS - 1), mode }), { minLength: 1, maxLength: 3 }), { maxLength: 3 })
    .map((nests) =>
      nests.flatMap((locks) => {
        const once = new Map(locks.map((one) => [one.lock, one]));
        return nest([...once.values()].sort((a, b) => a.lock - b.lock));
      }),
    );
  fc.assert(
    fc.property(fc.array(ordered, { minLength: 2, maxLength: 3 }), (programs) => {
      expect(canDeadlock(programs, LOCKS)).toBe(false);
      expect(reported(programs)).toBe(false);
    }),
    { seed: 5, numRuns: 1000 },
  );
});

test("an exclusive holder reaches past a recursive reader: A, B recursively, C against C, A", () => {
  const first = nest([
    { lock: 0, mode: 0 },
    { lock: 1, mode: 2 },
    { lock: 2, mode: 0 },
  ]);
  const second = nest([
    { lock: 2, mode: 0 },
    { lock: 0, mode: 0 },
  ]);
  expect(canDeadlock([first, second], LOCKS)).toBe(true);
  expect(reported([first, second])).toBe(true);
});

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { input, iteratingProgram } from "./generate.js";

/** Faults planted in how loops over iterators are followed are found by generated programs. */

type Fault = "no element" | "first round only";

const planted: { fault: Fault | undefined } = { fault: undefined };

const faultyIterators = (real: typeof import("../../src/verifier/iterators.js")) => ({
  ...real,
  nextElement: (...[env, place]: Parameters<typeof real.nextElement>): void => {
    const waiting = env.pending.length;
    real.nextElement(env, place);
    if (planted.fault === "no element") env.pending.length = waiting;
  },
});

const faultyCompare = (real: typeof import("../../src/verifier/compare.js")) => ({
  ...real,
  statesMatch: (...[env, old, now, pc, how]: Parameters<typeof real.statesMatch>): boolean =>
    (planted.fault === "first round only" && how === "within" && old.branches > 0) ||
    real.statesMatch(env, old, now, pc, how),
});

/** The check, over modules of its own in which faults can be planted: those of other test files stay as they are. */
let contained: typeof import("./contained.js");
const ITERATORS = "../../src/verifier/iterators.js";
const COMPARE = "../../src/verifier/compare.js";

beforeAll(async () => {
  vi.resetModules();
  vi.doMock(ITERATORS, async (original) =>
    faultyIterators(await original<typeof import("../../src/verifier/iterators.js")>()),
  );
  vi.doMock(COMPARE, async (original) =>
    faultyCompare(await original<typeof import("../../src/verifier/compare.js")>()),
  );
  contained = await import("./contained.js");
});

afterAll(() => {
  vi.doUnmock(ITERATORS);
  vi.doUnmock(COMPARE);
  vi.resetModules();
});

const TRIES = 400;

const isFound = (fault: Fault | undefined): boolean => {
  planted.fault = fault;
  try {
    const details = fc.check(
      fc.property(iteratingProgram, fc.array(input, { minLength: 6, maxLength: 6 }), (insns, inputs) => {
        const claims = contained.collectClaims(insns, false);
        if (claims?.verdict.accepted === true) for (const each of inputs) contained.runWithin(insns, claims, each);
      }),
      { numRuns: TRIES, seed: 1, endOnFailure: true },
    );
    return details.failed;
  } finally {
    planted.fault = undefined;
  }
};

describe("a fault is found", { timeout: 120_000 }, () => {
  test("where elements are left out", () => expect(isFound("no element")).toBe(true));
  test("where the second round of a loop is taken for the first", () => expect(isFound("first round only")).toBe(true));
});

import { describe, expect, it } from "vitest";
import { countFrom } from "../random.js";
import { exploreLives, exploreZaps } from "./schedules.js";

/** Schedules of each kind: `VM_TDX_SCHEDULES=10000` for a long run. */
const SCHEDULES = countFrom("VM_TDX_SCHEDULES", 200);

describe("interleavings", () => {
  it(`of two vCPUs, a fault and a zap (${SCHEDULES} of all, and as many at random): no translation of a page that is gone, and the zap ends`, () => {
    expect(exploreZaps(SCHEDULES)).toBe(SCHEDULES);
    expect(exploreZaps(SCHEDULES, 3)).toBeGreaterThan(SCHEDULES * 0.8);
  }, 3_600_000);

  it(`of populate, finalize, run, convert, remove and teardown (${SCHEDULES} random ones): statuses only, and everything goes in the end`, () => {
    expect(exploreLives(2, SCHEDULES)).toBeGreaterThan(SCHEDULES / 20);
  }, 3_600_000);
});

import { describe, expect, it } from "vitest";
import { countFrom } from "../random.js";
import { runSequences } from "./sequences.js";

/** Random sequences of SEAMCALLs and TDCALLs: `VM_TDX_MODEL=100000` for a long run. */
const SEQUENCES = countFrom("VM_TDX_MODEL", 150);

describe("the module against a model of what hosts and guests may see", () => {
  it(`keeps the invariants over ${SEQUENCES} random sequences with several TDs and vCPUs`, () => {
    const { calls, seen } = runSequences(20_261_201, SEQUENCES);
    expect(calls).toBeGreaterThan(SEQUENCES * 20);
    // Sequences that never come to the point show nothing.
    for (const leaf of [1, 2, 3, 5, 6, 7, 9, 16, 17, 19, 20, 28, 29, 38, 39])
      expect([...seen]).toContain(`${leaf} SUCCESS`);
    expect([...seen]).toEqual(expect.arrayContaining(["29 TLB_TRACKING_NOT_DONE", "38 PREVIOUS_TLB_EPOCH_BUSY"]));
  }, 3_600_000);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Insn } from "../../src/isa/insn.js";
import { collectClaims, isAccepted, runWithin } from "./contained.js";
import { input, iteratingProgram, loopingProgram, program } from "./generate.js";

/** Programs per test; VM_BPF_PROGRAMS for long runs. */
const PROGRAMS = Number(process.env["VM_BPF_PROGRAMS"] ?? 150);
const SEED = process.env["VM_BPF_SEED"];

const check = (
  insnsOf: fc.Arbitrary<Insn[]>,
  everything: boolean,
  numRuns = PROGRAMS,
): { readonly accepted: number; readonly refused: number; readonly tooMany: number } => {
  let accepted = 0;
  let refused = 0;
  let tooMany = 0;
  fc.assert(
    fc.property(insnsOf, fc.array(input, { minLength: 8, maxLength: 8 }), (insns, inputs) => {
      const claims = collectClaims(insns, everything);
      if (claims === undefined) tooMany++;
      else if (!claims.verdict.accepted) refused++;
      else {
        accepted++;
        for (const each of inputs) runWithin(insns, claims, each);
      }
    }),
    { numRuns, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
  );
  return { accepted, refused, tooMany };
};

describe("abstract contains concrete", () => {
  test("on every path, all registers and slots of a run are within what was claimed", { timeout: 3_600_000 }, () => {
    const { accepted, refused, tooMany } = check(program, true);
    process.stdout.write(
      `all paths: ${accepted} programs accepted and run 8 times each, ${refused} refused, ${tooMany} too large\n`,
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("where covered paths are left out, what decisions rested on is within what was claimed", {
    timeout: 3_600_000,
  }, () => {
    const { accepted, refused, tooMany } = check(program, false);
    process.stdout.write(
      `pruned: ${accepted} programs accepted and run 8 times each, ${refused} refused, ${tooMany} too large\n`,
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("the same in loops without a count of rounds, which end where a round brings nothing new", {
    timeout: 3_600_000,
  }, () => {
    const { accepted, refused, tooMany } = check(loopingProgram, false, Math.ceil(PROGRAMS / 5));
    process.stdout.write(
      `loops: ${accepted} programs accepted and run 8 times each, ${refused} refused, ${tooMany} too large\n`,
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("the same in loops over open-coded iterators", { timeout: 3_600_000 }, () => {
    const { accepted, refused, tooMany } = check(iteratingProgram, false, Math.ceil(PROGRAMS / 5));
    process.stdout.write(
      `iterators: ${accepted} programs accepted and run 8 times each, ${refused} refused, ${tooMany} too large\n`,
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("leaving out covered paths changes no verdict, nor does the order of branches", { timeout: 3_600_000 }, () => {
    let accepted = 0;
    fc.assert(
      fc.property(program, (insns) => {
        const all = isAccepted(insns, false, false);
        const pruned = isAccepted(insns, true, false);
        const other = isAccepted(insns, true, true);
        if (pruned === true) accepted++;
        // At a limit nothing is said of the program.
        if (other !== undefined && pruned !== undefined) expect(other).toBe(pruned);
        if (all !== undefined && pruned !== undefined) expect(pruned).toBe(all);
      }),
      { numRuns: PROGRAMS * 3, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
    );
    process.stdout.write(`order and pruning: ${accepted} of ${PROGRAMS * 3} programs accepted\n`);
  });
});

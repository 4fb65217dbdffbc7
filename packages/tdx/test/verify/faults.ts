import "./verified-once.js";
import { describe, expect, it } from "vitest";
import { verifyQuote } from "../../src/verify/verify.js";
import { type Alteration, alter } from "./alteration.js";
import { Forge, type Made, NOW } from "./forge.js";

function codesOf({ quote, collateral, root }: Made): string[] {
  const { reasons, accepted } = verifyQuote(quote, { collateral: JSON.stringify(collateral), root, time: NOW });
  expect(accepted).toBe(reasons.length === 0);
  return [...new Set(reasons.map(({ code }) => code))].sort();
}

/** One test for each fault: that it is the only thing that is found. */
export function eachFault(what: string, alterations: readonly Alteration[]): void {
  describe(`one fault in ${what}`, () => {
    it("is none if nothing is changed", () => {
      expect(codesOf(new Forge().build())).toEqual([]);
    });

    it.each(alterations.map((one) => [one[0], one] as const))("%s", (_name, one) => {
      expect(codesOf(alter(one))).toEqual([one[1]].flat().sort());
    });
  });
}

import { expect, test } from "vitest";
import { ENGINES } from "./harness.js";
import { digests, kernelCases } from "./kernel-cases.js";
import recorded from "./kernel-cases.json" with { type: "json" };
import { Ours } from "./runtime-run.js";

/** What linux 6.18 told of the same programs; kernel.test.ts asks a kernel again, and then says which of them is different. */
test.each(ENGINES)("%s: helpers and contexts tell what a kernel told", (engine) => {
  const on = new Ours(engine);
  const cases = kernelCases();
  const ran = cases.map((one) => ({ ...on.run(one, [0]), context: "" }));
  expect(digests(cases, ran)).toEqual(recorded);
});

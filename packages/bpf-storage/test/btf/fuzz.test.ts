import fc from "fast-check";
import { expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { checkBtf } from "../../src/btf/check.js";
import { describeType } from "../../src/btf/describe.js";
import { findMember } from "../../src/btf/member.js";
import { alignOf, sizeOf } from "../../src/btf/size.js";
import { BpfError } from "../../src/errors.js";
import { everything, mutated } from "./mutate.js";

/** Whatever it does, nothing but a BpfError is thrown. */
function typed(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
  }
}

test("type information that has something of everything is accepted", () => {
  expect(checkBtf(everything()).count).toBeGreaterThan(20);
});

test("mutated type information fails with errors of its own, or not at all", () => {
  fc.assert(
    fc.property(mutated(everything()), (bytes) => {
      typed(() => checkBtf(bytes));
      typed(() => {
        const btf = new Btf(bytes);
        for (let id = 0; id < btf.count; id++) {
          for (const ask of [sizeOf, alignOf, describeType]) typed(() => ask(btf, id));
          typed(() => findMember(btf, id, "x"));
          typed(() => btf.flavours(btf.name(id)));
        }
      });
    }),
    { numRuns: 500 },
  );
});

import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeSha384, portableSha384, type RunningSha384 } from "../../src/measure/running-sha384.js";

function ofNode(): RunningSha384 {
  const hash = nodeSha384({ process });
  if (hash === null) throw new Error("this Node has no process.getBuiltinModule");
  return hash;
}

const sha384 = (...parts: readonly Uint8Array[]): string => {
  const hash = createHash("sha384");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};
const hex = (hash: RunningSha384): string => Buffer.from(hash.digest()).toString("hex");
const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });

describe.each([
  ["of Node", ofNode],
  ["of every host", portableSha384],
])("SHA-384 %s", (_, create) => {
  test("is that of all that came, and goes on after it was looked at", () => {
    fc.assert(
      fc.property(parts, parts, (before, after) => {
        const hash = create();
        for (const part of before) hash.update(part);
        expect(hex(hash)).toBe(sha384(...before));
        for (const part of after) hash.update(part);
        expect(hex(hash)).toBe(sha384(...before, ...after));
      }),
    );
  });

  test("goes its own way as a clone", () => {
    const hash = create();
    hash.update(Uint8Array.of(1));
    const clone = hash.clone();
    clone.update(Uint8Array.of(2));
    expect(hex(hash)).toBe(sha384(Uint8Array.of(1)));
    expect(hex(clone)).toBe(sha384(Uint8Array.of(1, 2)));
  });

  test("is 48 plain bytes", () => {
    expect(create().digest()).toEqual(new Uint8Array(createHash("sha384").digest()));
  });
});

test("there is none of Node where Node is not", () => {
  expect(nodeSha384({})).toBeNull();
  expect(nodeSha384({ process: {} })).toBeNull();
});

import fc from "fast-check";
import { expect, it } from "vitest";
import { REQUEST_WORDS } from "../../src/exec/agent-abi.js";
import { parseRequest, request } from "../../src/exec/agent-request.js";

const word = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);

it("a request is read as it was written", () => {
  fc.assert(
    fc.property(fc.array(word, { maxLength: REQUEST_WORDS }), fc.uint8Array(), (words, data) => {
      const read = parseRequest(request(words, data));
      const rest = Array<bigint>(REQUEST_WORDS - words.length).fill(0n);
      expect(read).toEqual({ words: [...words.map(BigInt), ...rest], data });
    }),
  );
});

it("words are 32 bits wide where all of them fit", () => {
  expect(request([0, -1, 2 ** 31 - 1], Uint8Array.of(7))).toEqual(
    Uint8Array.of(3, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127, 7),
  );
  expect(request([2 ** 31]).length).toBe(9);
});

it("of more words than a request has none is sent", () => {
  expect(() => request(Array<number>(REQUEST_WORDS + 1).fill(0))).toThrow(RangeError);
});

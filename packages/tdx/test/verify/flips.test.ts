import "./verified-once.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TD_REPORT_15 } from "../../src/quote/td-report-body.js";
import { SimulatedPlatform } from "../../src/simulated/platform.js";
import { VerifyInputError } from "../../src/verify/errors.js";
import { type Verification, verifyQuote } from "../../src/verify/verify.js";
import { CURRENT, NOW } from "./forge.js";

const platform = new SimulatedPlatform({ seed: "flips", current: CURRENT });
const report = { ...TD_REPORT_15.read(new Uint8Array(TD_REPORT_15.size)), tdAttributes: 1n << 28n, xfam: 7n };
const quote = platform.quote(report, 5);
const TEXT = JSON.stringify(platform.collateral);

const verify = (bytes: Uint8Array, text: string, root = platform.root): Verification =>
  verifyQuote(bytes, { collateral: text, root, time: NOW });

/** Whether something is accepted. What is unusable is not. @throws whatever is thrown but a {@link VerifyInputError} */
function accepted(bytes: Uint8Array, text: string): boolean {
  try {
    return verify(bytes, text).accepted;
  } catch (error) {
    if (error instanceof VerifyInputError) return false;
    throw error;
  }
}

const flipped = (bytes: Uint8Array, bit: number): Uint8Array =>
  bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)));

describe("verifyQuote", () => {
  it("accepts what nobody has changed", () => {
    expect(verify(quote, TEXT).reasons).toEqual([]);
  });

  it("rejects a quote with any bit flipped", () => {
    fc.assert(
      fc.property(fc.nat(quote.length * 8 - 1), (bit) => !accepted(flipped(quote, bit), TEXT)),
      { numRuns: 150 },
    );
  });

  it("rejects collateral with any bit flipped", () => {
    const bytes = new TextEncoder().encode(TEXT);
    fc.assert(
      fc.property(
        fc.nat(bytes.length * 8 - 1),
        (bit) => !accepted(quote, new TextDecoder().decode(flipped(bytes, bit))),
      ),
      { numRuns: 150 },
    );
  });

  it("throws nothing but VerifyInputError for random bytes and text", () => {
    const bytes = fc.uint8Array({ maxLength: 3000 });
    fc.assert(
      fc.property(
        bytes,
        fc.oneof(fc.string(), fc.json(), fc.constant(TEXT)),
        (random, text) => !accepted(random, text),
      ),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(fc.nat(quote.length), bytes, (at, random) => {
        const spliced = Uint8Array.from(quote);
        spliced.set(random.subarray(0, quote.length - at), at);
        return accepted(spliced, TEXT) === spliced.every((byte, i) => byte === quote[i]);
      }),
      { numRuns: 60 },
    );
  });

  it("throws nothing else for a random root", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (random) => {
        expect(() => verify(quote, TEXT, random)).toThrow(VerifyInputError);
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ["root", { root: new Uint8Array() }],
    ["time", { time: new Date(Number.NaN) }],
    ["time", { time: new Date(-1) }],
    ["policy", { policy: { acceptedStatuses: ["Revoked"] as const } }],
    ["collateral", { collateral: "nothing" }],
  ])("refuses an unusable %s", (code, change) => {
    const options = { collateral: TEXT, root: platform.root, time: NOW, ...change };
    expect(() => verifyQuote(quote, options)).toThrow(expect.objectContaining({ name: "VerifyInputError", code }));
  });

  it("refuses fewer bytes than any quote has", () => {
    expect(() => verify(quote.subarray(0, 435), TEXT)).toThrow(expect.objectContaining({ code: "quote" }));
  });
});

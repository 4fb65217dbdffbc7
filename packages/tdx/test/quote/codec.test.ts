import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeQuote, encodeSignedBytes, FieldError, parseQuote, type Quote, QuoteError } from "../../src/index.js";
import { quotes } from "./arbitrary.js";

/** What is wrong with these bytes, or null. Anything thrown but a QuoteError is rethrown. */
function wrong(bytes: Uint8Array): QuoteError | null {
  try {
    parseQuote(bytes);
    return null;
  } catch (error) {
    if (error instanceof QuoteError) return error;
    throw error;
  }
}

/** One quote, version 4 of a TD, always the same. */
function sample(kind: Partial<{ version: number; teeType: number; auth: number }> = {}): Quote {
  const [quote] = fc.sample(
    quotes.filter(({ header }) => header.version === (kind.version ?? 4) && header.teeType === (kind.teeType ?? 0x81)),
    { seed: 1, numRuns: 1 },
  );
  if (quote === undefined) throw new Error("no sample");
  return { ...quote, signature: { ...quote.signature, qeAuthData: new Uint8Array(kind.auth ?? 32) } };
}

const changed = (bytes: Uint8Array, at: number, ...values: number[]): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy.set(values, at);
  return copy;
};

describe("a quote", () => {
  test("comes out of its bytes as it went in, and nothing trails", () => {
    fc.assert(
      fc.property(quotes, (quote) => {
        const bytes = encodeQuote(quote);
        const { header, body, signature, trailing, size, signedBytes } = parseQuote(bytes);
        expect({ header, body, signature }).toEqual(quote);
        expect([trailing.length, size]).toEqual([0, bytes.length]);
        expect(signedBytes).toEqual(encodeSignedBytes(quote));
      }),
      { numRuns: 40 },
    );
  });

  test("is apart from what follows it", () => {
    fc.assert(
      fc.property(quotes, fc.uint8Array({ minLength: 1 }), (quote, tail) => {
        const bytes = encodeQuote(quote);
        const parsed = parseQuote(Uint8Array.of(...bytes, ...tail));
        expect([parsed.size, parsed.trailing]).toEqual([bytes.length, tail]);
      }),
      { numRuns: 40 },
    );
  });

  test("has authentication data of up to 65535 bytes", () => {
    const quote = sample({ auth: 65535 });
    expect(parseQuote(encodeQuote(quote)).signature.qeAuthData.length).toBe(65535);
    expect(() => encodeQuote(sample({ auth: 65536 }))).toThrow(FieldError);
  });

  test("is read from a copy: what is done to the bytes afterwards does not show", () => {
    const bytes = Buffer.from(encodeQuote(sample()));
    const parsed = parseQuote(bytes);
    const before = encodeQuote(parsed);
    bytes.fill(0);
    expect(encodeQuote(parsed)).toEqual(before);
  });
});

describe("no quote", () => {
  test.each([
    ["3, SGX", { version: 3, teeType: 0 }],
    ["4, TDX", { version: 4 }],
    ["5, TDX", { version: 5 }],
  ])("is one cut short at any byte (version %s)", (_name, kind) => {
    const bytes = encodeQuote(sample(kind));
    for (let length = 0; length < bytes.length; length++)
      expect(wrong(bytes.subarray(0, length))?.code, `${length} bytes`).toBe("truncated");
  });

  test("makes the parser throw anything but its error, whatever bits are flipped", () => {
    fc.assert(
      fc.property(quotes, fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), (quote, flips) => {
        const bytes = encodeQuote(quote);
        for (const flip of flips) {
          const at = Math.floor(flip / 8) % bytes.length;
          bytes[at] = (bytes[at] ?? 0) ^ (1 << (flip % 8));
        }
        wrong(bytes);
      }),
      { numRuns: 300 },
    );
  });

  test("is one with a length changed, whichever length it is", () => {
    const quote = sample({ version: 5 });
    const bytes = encodeQuote(quote);
    const body = encodeSignedBytes(quote).length;
    const outer = body + 4 + 128;
    const auth = outer + 6 + 384 + 64;
    const lengths = [50, body, outer + 2, auth, auth + 2 + quote.signature.qeAuthData.length + 2];
    for (const at of lengths) {
      for (const by of [1, -1]) {
        const other = changed(bytes, at, ((bytes[at] ?? 0) + by) & 0xff);
        expect(wrong(Uint8Array.of(...other, 0, 0))?.code, `${at} ${by}`).toMatch(
          /^(truncated|length|body-size|certification-type)$/,
        );
      }
    }
  });

  test.each([
    ["version", 0, [6, 0], "version", "version 6; 3, 4 and 5 are known (at byte 0 of the quote)"],
    ["version", 0, [2, 0], "version", "version 2;"],
    ["attestation key", 2, [3, 0], "attestation-key-type", "type 3; 2 (ECDSA-256-with-P-256) is supported"],
    ["TEE", 4, [0x82], "tee-type", "TEE type 0x82; 0 (SGX) and 0x81 (TDX) are known"],
    ["body type", 48, [1], "body-type", "body type 1 for TEE type 0x81; it may be 2 or 3"],
    ["body type", 48, [4], "body-type", "body type 4"],
    ["body size", 50, [0x89], "body-size", "(at byte 50 of the quote)"],
  ])("has an unknown %s (%#)", (_name, at, values, code, words) => {
    const error = wrong(changed(encodeQuote(sample({ version: 5 })), at, ...values));
    expect(error?.code).toBe(code);
    expect(error?.message).toContain(words);
  });

  test("is a TD's of version 3", () => {
    expect(wrong(changed(encodeQuote(sample({ version: 3, teeType: 0 })), 4, 0x81))?.code).toBe("tee-type");
  });

  test("has another certification than 6 outside, nor 6 or an unknown one inside", () => {
    const bytes = encodeQuote(sample());
    const outer = 48 + 584 + 4 + 128;
    const inner = outer + 6 + 384 + 64 + 2 + 32;
    for (const type of [0, 1, 5, 7, 8])
      expect(wrong(changed(bytes, outer, type)), `${type}`).toMatchObject({
        code: "certification-type",
        offset: outer,
      });
    for (const type of [0, 6, 8, 255])
      expect(wrong(changed(bytes, inner, type)), `${type}`).toMatchObject({
        code: "certification-type",
        offset: inner,
      });
    expect(wrong(changed(bytes, outer, 5))?.message).toContain("5 (concatenated PCK certificate chain)");
  });
});

describe("what is to be encoded", () => {
  test("has values that fit their fields, and a body that its version has", () => {
    const quote = sample();
    const with_ = (header: object) => () => encodeQuote({ ...quote, header: { ...quote.header, ...header } });
    expect(with_({ version: 3 })).toThrow("version 3 of TEE type 129 with body type 2");
    expect(with_({ version: 7 })).toThrow(FieldError);
    expect(with_({ qeSvn: 65536 })).toThrow("qeSvn is 65536; 0 to 65535 fits into 2 bytes");
    expect(with_({ userData: new Uint8Array(19) })).toThrow("userData has 19 bytes; it has to have 20");
    const signature = { ...quote.signature, attestationKey: new Uint8Array(65) };
    expect(() => encodeQuote({ ...quote, signature })).toThrow("attestationKey has 65 bytes");
  });
});

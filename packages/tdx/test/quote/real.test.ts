import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import { BODY_ENCLAVE, BODY_TD_10, BODY_TD_15, encodeQuote, parseQuote, QuoteError } from "../../src/index.js";
import { data, HAS_DATA, WITHOUT_DATA } from "../data.js";

/** File, version, body type, bytes, MRTD or MRENCLAVE. The measurements were read at their offsets with xxd. */
const QUOTES = [
  ["go-tdx-guest/cos-113-tdx-quote.dat", 4, BODY_TD_10, 4935],
  ["go-tdx-guest/tdx_prod_quote_SPR_E4.dat", 4, BODY_TD_10, 4935],
  ["go-tdx-guest/quote_v5_sample.dat", 5, BODY_TD_15, 5006],
  ["dcap-qvl/tdx_quote", 4, BODY_TD_10, 4936],
  ["dcap-qvl/tdx_quote_outdated", 5, BODY_TD_15, 5006],
  ["dcap-qvl/quote-from-tappd.hex", 4, BODY_TD_10, 4936],
  ["dcap-qvl/tdx-quote.hex", 4, BODY_TD_10, 4936],
  ["dcap-qvl/sgx_quote", 3, BODY_ENCLAVE, 4600],
] as const;

describe.skipIf(!HAS_DATA)(`real quotes${WITHOUT_DATA}`, () => {
  test.each(QUOTES)("%s", (file, version, type, size) => {
    const bytes = data(file);
    const quote = parseQuote(bytes);
    expect([quote.header.version, quote.body.type, quote.size]).toEqual([version, type, size]);
    expect(encodeQuote(quote)).toEqual(bytes.subarray(0, size));
    expect(quote.trailing).toEqual(bytes.subarray(size));

    const { qeReport, attestationKey, qeAuthData, certification } = quote.signature;
    expect(qeReport.reportData.subarray(0, 32)).toEqual(sha256(concatBytes(attestationKey, qeAuthData)));
    expect(new TextDecoder().decode(certification.data)).toMatch(
      /^(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n){3}\0?$/,
    );
  });

  test("MRTD is where it is known to be", () => {
    const { body } = parseQuote(data("dcap-qvl/tdx_quote"));
    if (body.type === BODY_ENCLAVE) throw new Error("an enclave's");
    expect(bytesToHex(body.report.mrTd)).toMatch(/^91eb2b44d141/);
    expect(body.report.tdAttributes).toBe(0x1000_0000n);
  });

  test.each(QUOTES.slice(1, 3))("%s, cut short at any byte, is none", (file, _version, _type, size) => {
    const bytes = data(file);
    for (let length = 0; length < size; length += 7)
      expect(() => parseQuote(bytes.subarray(0, length))).toThrow(QuoteError);
  });
});

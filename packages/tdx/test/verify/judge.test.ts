import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { TD_REPORT_10, TD_REPORT_15 } from "../../src/quote/td-report-body.js";
import { SimulatedPlatform } from "../../src/simulated/platform.js";
import { verifyQuote } from "../../src/verify/verify.js";
import { type Alteration, alter } from "./alteration.js";
import { CHAIN_ALTERATIONS } from "./chain-alterations.js";
import { CURRENT, Forge, type Made, NOW } from "./forge.js";
import { QUOTE_ALTERATIONS } from "./quote-alterations.js";
import { REVOCATION_ALTERATIONS } from "./revocation-alterations.js";
import { SUBJECT_ALTERATIONS } from "./subject-alterations.js";

// CommonJS whose types name Buffer's of another version.
const { QuoteVerifier } = createRequire(import.meta.url)("@phala/dcap-qvl") as {
  QuoteVerifier: Record<"newWithRootCa" | "newProd", (root?: Uint8Array) => Judge>;
};
interface Judge {
  verify(quote: Uint8Array, collateral: object, seconds: number): { status: string };
}
const SECONDS = NOW.getTime() / 1000;

const judged = ({ quote, collateral, root }: Made) =>
  QuoteVerifier.newWithRootCa(Buffer.from(root)).verify(Buffer.from(quote), collateral, SECONDS).status;

const platform = new SimulatedPlatform({ seed: "judge", current: CURRENT });
const td = { tdAttributes: 1n << 28n, xfam: 0x602e7n, reportData: new Uint8Array(64).fill(7) };
const short = { ...TD_REPORT_10.read(new Uint8Array(TD_REPORT_10.size)), ...td };
const long = { ...TD_REPORT_15.read(new Uint8Array(TD_REPORT_15.size)), ...td };
const made = (quote: Uint8Array): Made => ({ quote, root: platform.root, collateral: { ...platform.collateral } });

describe("@phala/dcap-qvl as the judge of simulated quotes", () => {
  it.each([
    ["version 4", platform.quote(short, 4)],
    ["version 4 of a TDX 1.5 report", platform.quote(long, 4)],
    ["version 5 with the body of TDX 1.0", platform.quote(short, 5)],
    ["version 5 with the body of TDX 1.5", platform.quote(long, 5)],
  ])("%s: accepted under our root, rejected under Intel's and after one flipped bit", (_, quote) => {
    expect(judged(made(quote))).toBe("UpToDate");
    expect(() => QuoteVerifier.newProd().verify(Buffer.from(quote), platform.collateral, SECONDS)).toThrow();
    for (const at of [20, 60, 300, 650, 730, 800, 1000, 1250, 1310])
      expect(() => judged(made(quote.with(at, (quote[at] ?? 0) ^ 1)))).toThrow();
  });

  it("takes 32 bytes of authentication data only; quoting enclaves may have others", () => {
    for (const size of [0, 16, 32, 33, 1000]) {
      const forge = new Forge();
      forge.qeAuthData = new Uint8Array(size).fill(9);
      const one = forge.build();
      expect(verifyQuote(one.quote, { ...one, collateral: JSON.stringify(one.collateral), time: NOW }).reasons).toEqual(
        [],
      );
      if (size === 32) expect(judged(one)).toBe("UpToDate");
      else expect(() => judged(one)).toThrow();
    }
  });
});

describe("what @phala/dcap-qvl 0.3.9 accepts as UpToDate and this verifier does not", () => {
  const all = [...QUOTE_ALTERATIONS, ...CHAIN_ALTERATIONS, ...REVOCATION_ALTERATIONS, ...SUBJECT_ALTERATIONS];

  it.each([
    "outer certification type 5",
    "another vendor id",
    "text behind it",
    "QE report data: something behind the hash",
    "pckCa: not a CA",
    "pckCa: only for digitalSignature",
    "pck: issued by another name",
    "documents signed by the PCK",
    "CRL of pckCa: signed by another key",
    "CRL of root: not current any more",
    "CRL of pckCa: a delta list",
    "CRL of pckCa: empty",
    "the lists are swapped",
    "TD: another MRSIGNERSEAM",
    "TD: SEAMATTRIBUTES",
    "TD: a TDX module of version 255",
  ])("%s", (name) => {
    const alteration = all.find(([one]) => one === name) as Alteration;
    const one = alter(alteration);
    expect(judged(one)).toBe("UpToDate");
    expect(verifyQuote(one.quote, { ...one, collateral: JSON.stringify(one.collateral), time: NOW }).accepted).toBe(
      false,
    );
  });
});

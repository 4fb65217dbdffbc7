import { describe, expect, it } from "vitest";
import { parseCertificate } from "../../src/pki/certificate.js";
import { parseCrl } from "../../src/pki/crl.js";
import { parsePem } from "../../src/pki/pem.js";
import { parseQuote } from "../../src/quote/parse.js";
import { TD_REPORT_15 } from "../../src/quote/td-report-body.js";
import { NOTICE } from "../../src/simulated/names.js";
import { SimulatedPlatform } from "../../src/simulated/platform.js";
import { verifyQuote } from "../../src/verify/verify.js";

const current = { notBefore: new Date("2026-01-01T00:00:00Z"), notAfter: new Date("2026-01-31T00:00:00Z") };
const make = (seed: string) => new SimulatedPlatform({ seed, current });
const report = { ...TD_REPORT_15.read(new Uint8Array(TD_REPORT_15.size)), tdAttributes: 1n << 28n, xfam: 7n };
const text = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

describe("a simulated platform", () => {
  const platform = make("a");

  it("is the same for the same seed and dates, byte for byte, and another for another seed", () => {
    const [same, other] = [make("a"), make("b")];
    expect(same.quote(report, 5)).toEqual(platform.quote(report, 5));
    expect(same.collateral).toEqual(platform.collateral);
    expect(same.root).toEqual(platform.root);
    expect(other.root).not.toEqual(platform.root);
  });

  it("has one root for a seed, whenever the collateral is current", () => {
    const later = { notBefore: current.notAfter, notAfter: new Date("2027-01-01T00:00:00Z") };
    expect(new SimulatedPlatform({ seed: "a", current: later }).root).toEqual(platform.root);
  });

  it("says in every artefact that it is simulated", () => {
    const { collateral } = platform;
    const chains = [
      collateral.pck_crl_issuer_chain,
      collateral.tcb_info_issuer_chain,
      collateral.qe_identity_issuer_chain,
    ];
    const quote = parseQuote(platform.quote(report));
    const certificates = [...chains, quote.signature.certification.data].flatMap((pem) => parsePem(pem, 3));
    expect(certificates).toHaveLength(9);
    for (const der of certificates) {
      expect(parseCertificate(der).subject.commonName).toContain(NOTICE);
      expect(parseCertificate(der).issuer.commonName).toContain(NOTICE);
    }
    for (const list of [collateral.root_ca_crl, collateral.pck_crl])
      expect(parseCrl(Uint8Array.from(Buffer.from(list, "hex"))).issuer.commonName).toContain(NOTICE);
    expect(collateral.tcb_info).toContain(NOTICE);
    expect(collateral.qe_identity).toContain(NOTICE);
    expect(text(quote.header.userData)).toBe("SIMULATED-NOT-SECURE");
    expect(text(quote.signature.qeAuthData)).toContain(NOTICE);
  });

  it("makes quotes that its own root vouches for and another's does not", () => {
    const time = new Date("2026-01-15T00:00:00Z");
    const verify = (root: Uint8Array) =>
      verifyQuote(platform.quote(report, 5), { collateral: platform.collateral, root, time });
    expect(verify(platform.root)).toMatchObject({ accepted: true, tcbStatus: "UpToDate", reasons: [] });
    const { accepted, reasons } = verify(make("b").root);
    expect(accepted).toBe(false);
    expect(reasons.map(({ code }) => code)).toContain("CHAIN_ROOT");
  });

  it("has collateral for its dates only", () => {
    const verify = (time: Date) =>
      verifyQuote(platform.quote(report), { collateral: platform.collateral, root: platform.root, time }).accepted;
    expect([current.notBefore, current.notAfter].map(verify)).toEqual([true, true]);
    const outside = [current.notBefore.getTime() - 1000, current.notAfter.getTime() + 1000];
    expect(outside.map((time) => verify(new Date(time)))).toEqual([false, false]);
  });
});

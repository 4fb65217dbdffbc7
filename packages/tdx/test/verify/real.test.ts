import { describe, expect, it } from "vitest";
import { parsePem } from "../../src/pki/pem.js";
import { type CollateralSource, collateralFromPcs } from "../../src/verify/collateral.js";
import type { Policy } from "../../src/verify/policy.js";
import { verifyQuote, verifyQuoteSignatures } from "../../src/verify/verify.js";
import { data, dataText, HAS_DATA, WITHOUT_DATA } from "../data.js";

const collateral = (name: string): CollateralSource => JSON.parse(dataText(`dcap-qvl/${name}_collateral.json`));
/** Intel's root as the collateral has it. */
const root = (): Uint8Array => parsePem(collateral("tdx_quote").tcb_info_issuer_chain, 2)[1] ?? new Uint8Array();

const verdict = (quote: Uint8Array, from: string | CollateralSource, time: string, policy: Policy = {}) => {
  const { accepted, tcbStatus, advisoryIds, reasons } = verifyQuote(quote, {
    collateral: from,
    root: root(),
    time: new Date(time),
    policy,
  });
  return { accepted, tcbStatus, advisoryIds, codes: reasons.map(({ code }) => code) };
};

const pcs = (tcbInfo: string): CollateralSource => {
  const { tcb_info_issuer_chain, pck_crl_issuer_chain } = collateral("tdx_quote");
  return collateralFromPcs({
    tcbInfo: dataText(`go-tdx-guest/${tcbInfo}`),
    tcbInfoIssuerChain: encodeURIComponent(tcb_info_issuer_chain),
    qeIdentity: dataText("go-tdx-guest/sample_qeIdentity_response"),
    qeIdentityIssuerChain: encodeURIComponent(tcb_info_issuer_chain),
    pckCrl: data("go-tdx-guest/pckcrl"),
    pckCrlIssuerChain: encodeURIComponent(pck_crl_issuer_chain),
    rootCaCrl: data("go-tdx-guest/rootcrl.der"),
  });
};

describe.skipIf(!HAS_DATA)(`real quotes under Intel's root${WITHOUT_DATA}`, () => {
  it("a version 4 quote with its collateral is accepted as UpToDate", () => {
    const text = dataText("dcap-qvl/tdx_quote_collateral.json");
    expect(verdict(data("dcap-qvl/tdx_quote"), text, "2025-06-22T00:00:00Z")).toEqual({
      accepted: true,
      tcbStatus: "UpToDate",
      advisoryIds: [],
      codes: [],
    });
  });

  it.each([
    ["2025-06-19T10:32:26Z", ["QE_IDENTITY_TIME"]],
    ["2025-07-19T10:16:04Z", ["TCB_INFO_TIME"]],
    ["2033-06-22T00:00:00Z", undefined],
  ] as const)("and is not at %s", (time, codes) => {
    const { accepted, codes: found } = verdict(data("dcap-qvl/tdx_quote"), collateral("tdx_quote"), time);
    expect(accepted).toBe(false);
    if (codes) expect(found).toEqual(expect.arrayContaining([...codes]));
    else expect(new Set(found)).toContain("CERTIFICATE_TIME");
  });

  it("a version 5 quote of a platform below all levels is rejected as NotSupported", () => {
    const from = collateral("tdx_quote_outdated");
    expect(verdict(data("dcap-qvl/tdx_quote_outdated"), from, "2026-02-20T00:00:00Z")).toMatchObject({
      accepted: false,
      tcbStatus: "NotSupported",
      codes: ["TCB_NOT_SUPPORTED"],
    });
  });

  it("a version 5 quote is accepted with collateral that came with another of its family", () => {
    const from = collateral("tdx_quote_outdated");
    const quote = data("go-tdx-guest/quote_v5_sample.dat");
    expect(verdict(quote, from, "2026-02-20T00:00:00Z")).toMatchObject({ accepted: true, tcbStatus: "UpToDate" });
  });

  it("and with the TCB info that Intel's service answered for it", () => {
    const { tcb_info, tcb_info_signature } = pcs("sample_tcbinfo_response_v5");
    const from = { ...collateral("tdx_quote_outdated"), tcb_info, tcb_info_signature };
    const quote = data("go-tdx-guest/quote_v5_sample.dat");
    expect(verdict(quote, from, "2026-02-20T00:00:00Z")).toMatchObject({ accepted: true, tcbStatus: "UpToDate" });
  });

  it("a version 3 quote of an enclave has the status and the advisories that Intel says", () => {
    const quote = data("dcap-qvl/sgx_quote");
    const status = "ConfigurationAndSWHardeningNeeded";
    const told = { tcbStatus: status, advisoryIds: ["INTEL-SA-00289", "INTEL-SA-00615"] };
    const from = collateral("sgx_quote");
    expect(verdict(quote, from, "2025-06-22T00:00:00Z")).toEqual({ ...told, accepted: false, codes: ["TCB_STATUS"] });
    const policy: Policy = { acceptedStatuses: ["UpToDate", status] };
    expect(verdict(quote, from, "2025-06-22T00:00:00Z", policy)).toEqual({ ...told, accepted: true, codes: [] });
  });

  it.each(["tdx-quote.hex", "quote-from-tappd.hex"])("%s: a platform that is below all levels by now", (name) => {
    const found = verdict(data(`dcap-qvl/${name}`), collateral("tdx_quote"), "2025-06-22T00:00:00Z");
    expect(found.codes).toEqual(["TCB_NOT_SUPPORTED"]);
  });

  it.each([
    ["cos-113-tdx-quote.dat", "2025-06-22T00:00:00Z", "00806f050000"],
    ["quote_v5_sample.dat", "2026-02-22T00:00:00Z", "90c06f000000"],
  ])("%s: signatures and the chain of the PCK are right; there is no collateral for more", (name, time, fmspc) => {
    const found = verifyQuoteSignatures(data(`go-tdx-guest/${name}`), { root: root(), time: new Date(time) });
    expect(found.reasons).toEqual([]);
    expect(Buffer.from(found.platform?.fmspc ?? []).toString("hex")).toBe(fmspc);
  });

  it("tdx_prod_quote_SPR_E4.dat: signatures and the chain are right, and text follows the quote", () => {
    const quote = data("go-tdx-guest/tdx_prod_quote_SPR_E4.dat");
    const options = { root: root(), time: new Date("2023-06-20T00:00:00Z") };
    const found = verifyQuoteSignatures(quote, options);
    expect(found.reasons.map(({ code }) => code)).toEqual(["QUOTE_TRAILING"]);
    expect(verifyQuoteSignatures(quote.subarray(0, found.quote?.size), options).reasons).toEqual([]);
  });

  it("Intel's answers of 2023 are right, but for the signer's certificate, which is a later one for the same key", () => {
    const whole = data("go-tdx-guest/tdx_prod_quote_SPR_E4.dat");
    const quote = whole.subarray(0, whole.length - 39);
    // The TD lacks SEPT_VE_DISABLE.
    const found = verdict(quote, pcs("sample_tcbInfo_response"), "2023-06-20T00:00:00Z", {
      allowSeptVe: true,
    });
    expect(found.codes).toEqual(["CERTIFICATE_TIME"]);
  });

  it("the event log of a TD leads to the RTMRs of its quote, and with one byte of a digest changed it does not", () => {
    const log = data("go-tdx-guest/ccel_data.dat");
    const options = { collateral: collateral("tdx_quote"), root: root(), time: new Date("2025-06-22T00:00:00Z") };
    const replay = (eventLog: Uint8Array) =>
      verifyQuote(data("go-tdx-guest/cos-113-tdx-quote.dat"), { ...options, eventLog });
    expect(replay(log).rtmrs?.matches.slice(0, 3)).toEqual([true, true, true]);
    expect(replay(log).reasons.map(({ code }) => code)).toEqual(["TCB_INFO_MISMATCH"]);
    const changed = log.with(110, (log[110] ?? 0) ^ 1);
    expect(replay(changed).reasons.map(({ code }) => code)).toContain("RTMR");
  });
});

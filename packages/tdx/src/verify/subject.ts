import { bytesToHex } from "@noble/hashes/utils.js";
import { equal } from "../bytes/equal.js";
import { BODY_ENCLAVE, BODY_TD_15, type QuoteBody } from "../quote/quote.js";
import type { TdReport10 } from "../quote/td-report-body.js";
import { ATTRIBUTE_SEPT_VE_DISABLE } from "../tables/attributes.js";
import { ATTRIBUTES_DEBUG, DEFAULT_ATTRIBUTES, EXPECTABLE, type Policy, XFAM_FIXED0, XFAM_FIXED1 } from "./policy.js";
import type { Findings } from "./reasons.js";

const hex = (bits: bigint): string => `0x${bits.toString(16)}`;

/** Checks what the quote is about, the TD or the enclave, against the policy. Says nothing about whether the quote is true. */
export function checkSubject(findings: Findings, body: QuoteBody, policy: Policy): void {
  if (body.type === BODY_ENCLAVE) {
    if (((body.report.attributes[0] ?? 0) & 2) !== 0 && !policy.allowDebug)
      findings.add("DEBUG", "The enclave is under debug.");
    return;
  }
  checkAttributes(findings, body.report, policy);
  if (body.type === BODY_TD_15) checkServiceTd(findings, body.report.mrServiceTd, policy);
  else if (policy.mrServiceTd?.some((byte) => byte !== 0))
    findings.add("SERVICE_TD", "The policy names a service TD, and a body of TDX 1.0 says nothing about any.");
  for (const name of EXPECTABLE) {
    const expected = policy.expected?.[name];
    if (expected !== undefined && !equal(expected, body.report[name]))
      findings.add("EXPECTED", `${name} is ${bytesToHex(body.report[name])}, not ${bytesToHex(expected)}.`);
  }
}

function checkAttributes(findings: Findings, { tdAttributes, xfam }: TdReport10, policy: Policy): void {
  if ((tdAttributes & ATTRIBUTES_DEBUG) !== 0n && !policy.allowDebug)
    findings.add("DEBUG", `The TD is under debug: ATTRIBUTES is ${hex(tdAttributes)}.`);
  const others = tdAttributes & ~ATTRIBUTES_DEBUG & ~(policy.allowedAttributes ?? DEFAULT_ATTRIBUTES);
  if (others !== 0n) findings.add("TD_ATTRIBUTES", `ATTRIBUTES has ${hex(others)}, which the policy does not accept.`);
  if ((tdAttributes & ATTRIBUTE_SEPT_VE_DISABLE) === 0n && !policy.allowSeptVe)
    findings.add("TD_ATTRIBUTES", `ATTRIBUTES is ${hex(tdAttributes)}: SEPT_VE_DISABLE is not set.`);
  if ((xfam & XFAM_FIXED1) !== XFAM_FIXED1 || (xfam & ~XFAM_FIXED0) !== 0n)
    findings.add(
      "XFAM",
      `XFAM is ${hex(xfam)}; it has to have ${hex(XFAM_FIXED1)} and only bits of ${hex(XFAM_FIXED0)}.`,
    );
}

function checkServiceTd(findings: Findings, mrServiceTd: Uint8Array, policy: Policy): void {
  const allowed = policy.mrServiceTd ?? new Uint8Array(mrServiceTd.length);
  if (!equal(mrServiceTd, allowed))
    findings.add("SERVICE_TD", `MRSERVICETD is ${bytesToHex(mrServiceTd)}, which the policy does not name.`);
}

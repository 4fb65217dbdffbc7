import { equal } from "../bytes/equal.js";
import type { Certificate } from "../pki/certificate.js";
import { verifyP256 } from "../pki/ecdsa.js";
import { checkChain, iso, readChain, type Trust } from "./chain.js";
import type { Collateral, SignedText } from "./collateral.js";
import { JsonError } from "./json.js";
import { parseQeIdentity, type QeIdentity } from "./qe-identity.js";
import type { Findings } from "./reasons.js";
import { checkCrl, checkRevoked, readCrl } from "./revocation.js";
import { parseTcbInfo, type TcbInfo } from "./tcb-info.js";

/** What the TCB signer has signed. */
export interface SignedCollateral {
  readonly tcbInfo: TcbInfo;
  readonly qeIdentity: QeIdentity;
}

/** The chain that came with a quote. */
export interface QuoteChain {
  /** PCK, PCK CA, root. */
  readonly chain: readonly Certificate[];
}

/**
 * Checks chains, signatures and dates of all collateral, and that nothing in any chain is revoked.
 *
 * @param quote the chain of the quote; undefined if it is not known
 * @returns what is signed, if it can be read; whether it is true the findings say
 */
export function verifyCollateral(
  findings: Findings,
  collateral: Collateral,
  quote: QuoteChain | undefined,
  trust: Trust,
): SignedCollateral | undefined {
  const tcbSigner = checkSigner(findings, "the chain of the TCB info", collateral.tcbInfoIssuerChain, trust);
  const qeSigner =
    collateral.qeIdentityIssuerChain === collateral.tcbInfoIssuerChain
      ? tcbSigner
      : checkSigner(findings, "the chain of the QE identity", collateral.qeIdentityIssuerChain, trust);
  checkLists(findings, collateral, quote, [tcbSigner, qeSigner], trust);
  const { tcbInfo: infoText, qeIdentity: identityText } = collateral;
  checkSigned(findings, "TCB_INFO_SIGNATURE", "The TCB info", infoText, tcbSigner);
  checkSigned(findings, "QE_IDENTITY_SIGNATURE", "The QE identity", identityText, qeSigner);
  const tcbInfo = findings.attempt("TCB_INFO_FORMAT", "the TCB info", [JsonError], () => parseTcbInfo(infoText.text));
  const qeIdentity = findings.attempt("QE_IDENTITY_FORMAT", "the QE identity", [JsonError], () =>
    parseQeIdentity(identityText.text),
  );
  if (tcbInfo) checkDates(findings, "TCB_INFO_TIME", "The TCB info", tcbInfo, trust.time);
  if (qeIdentity) checkDates(findings, "QE_IDENTITY_TIME", "The QE identity", qeIdentity, trust.time);
  return tcbInfo && qeIdentity && { tcbInfo, qeIdentity };
}

function checkSigner(findings: Findings, what: string, pem: string, trust: Trust): Certificate | undefined {
  const certificates = readChain(findings, what, pem);
  return certificates && checkChain(findings, what, certificates, ["TCB signer", "root"], trust);
}

function checkSigned(
  findings: Findings,
  code: "TCB_INFO_SIGNATURE" | "QE_IDENTITY_SIGNATURE",
  what: string,
  { bytes, signature }: SignedText,
  signer: Certificate | undefined,
): void {
  if (signer && !verifyP256(signer.publicKey, bytes, signature))
    findings.add(code, `${what} is not signed by "${signer.subject.commonName}".`);
}

function checkDates(
  findings: Findings,
  code: "TCB_INFO_TIME" | "QE_IDENTITY_TIME",
  what: string,
  { issueDate, nextUpdate }: Pick<TcbInfo, "issueDate" | "nextUpdate">,
  time: number,
): void {
  if (time < issueDate || time > nextUpdate)
    findings.add(code, `${what} is current from ${iso(issueDate)} to ${iso(nextUpdate)}.`);
}

/** Checks both lists of revoked certificates, and all certificates but leaves of unknown chains against that of their issuer. */
function checkLists(
  findings: Findings,
  collateral: Collateral,
  quote: QuoteChain | undefined,
  signers: readonly (Certificate | undefined)[],
  trust: Trust,
): void {
  const what = "the chain of the PCK CRL";
  const certificates = readChain(findings, what, collateral.pckCrlIssuerChain);
  const issuer = certificates && checkChain(findings, what, certificates, ["PCK CA", "root"], trust);
  const rootCrl = readCrl(findings, "the root CRL", collateral.rootCaCrl);
  if (rootCrl) {
    checkCrl(findings, "the root CRL", rootCrl, trust.root, trust.time);
    const known = [trust.root, quote?.chain[1], issuer, ...signers].filter((one) => one !== undefined);
    checkRevoked(findings, rootCrl, [...new Map(known.map((one) => [String(one.serial), one])).values()]);
  }
  const pckCrl = readCrl(findings, "the PCK CRL", collateral.pckCrl);
  const ca = quote?.chain[1] ?? issuer;
  if (pckCrl && ca) checkCrl(findings, "the PCK CRL", pckCrl, ca, trust.time);
  if (pckCrl && quote) checkRevoked(findings, pckCrl, quote.chain.slice(0, 1));
  if (quote) checkSameIssuer(findings, collateral, quote, issuer);
}

/** The CA that the list comes with has to be the one that issued the PCK certificate, though perhaps in a renewed certificate. */
function checkSameIssuer(
  findings: Findings,
  { pckCertificateChain }: Collateral,
  quote: QuoteChain,
  issuer: Certificate | undefined,
): void {
  const ca = quote.chain[1];
  if (issuer && ca && !(equal(issuer.publicKey, ca.publicKey) && equal(issuer.subject.der, ca.subject.der)))
    findings.add("CRL_ISSUER", `The PCK CRL comes with "${issuer.subject.commonName}", which did not issue the PCK.`);
  if (pckCertificateChain === undefined) return;
  const other = readChain(findings, "the PCK chain of the collateral", pckCertificateChain);
  const same =
    other?.length === quote.chain.length &&
    other.every(({ der }, i) => equal(der, quote.chain[i]?.der ?? new Uint8Array()));
  if (other && !same) findings.add("CERTIFICATE_ROLE", "The PCK chain of the collateral is another than the quote's.");
}

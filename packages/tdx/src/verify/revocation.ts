import { equal } from "../bytes/equal.js";
import { type Certificate, isSignedBy } from "../pki/certificate.js";
import { type CertificateList, isRevoked, parseCrl } from "../pki/crl.js";
import { PkiError } from "../pki/errors.js";
import { KeyUsage } from "../pki/extensions.js";
import { iso } from "./chain.js";
import type { Findings } from "./reasons.js";

/** Reads a list in DER. @returns undefined with a finding if it cannot be read */
export function readCrl(findings: Findings, what: string, der: Uint8Array): CertificateList | undefined {
  return findings.attempt("CRL_FORMAT", what, [PkiError], () => parseCrl(der));
}

/** Checks that a list is its issuer's and current. @param time in ms since 1970 */
export function checkCrl(
  findings: Findings,
  what: string,
  list: CertificateList,
  issuer: Certificate,
  time: number,
): void {
  const { keyUsage, subjectKeyId } = issuer.extensions;
  if (!equal(list.issuer.der, issuer.subject.der))
    findings.add("CRL_ISSUER", `${what} is by "${list.issuer.commonName}", not by "${issuer.subject.commonName}".`);
  else if (list.authorityKeyId && subjectKeyId && !equal(list.authorityKeyId, subjectKeyId))
    findings.add("CRL_ISSUER", `${what} names another key of its issuer.`);
  if (keyUsage !== undefined && (keyUsage & KeyUsage.cRLSign) === 0)
    findings.add("CERTIFICATE_USAGE", `"${issuer.subject.commonName}", which issued ${what}, is not for cRLSign.`);
  if (!isSignedBy(list, issuer))
    findings.add("CRL_SIGNATURE", `${what} is not signed by "${issuer.subject.commonName}".`);
  if (time < list.thisUpdate || time > list.nextUpdate)
    findings.add("CRL_TIME", `${what} is current from ${iso(list.thisUpdate)} to ${iso(list.nextUpdate)}.`);
}

/** Looks certificates up in the list of their issuer. */
export function checkRevoked(findings: Findings, list: CertificateList, certificates: readonly Certificate[]): void {
  for (const { serial, subject } of certificates) {
    if (isRevoked(list, serial)) findings.add("CERTIFICATE_REVOKED", `"${subject.commonName}" is revoked.`);
  }
}

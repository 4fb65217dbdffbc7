import { equal } from "../bytes/equal.js";
import { type Certificate, isSignedBy, parseCertificate } from "../pki/certificate.js";
import { PkiError } from "../pki/errors.js";
import { parsePem } from "../pki/pem.js";
import type { Findings } from "./reasons.js";
import { checkRole, type Role } from "./roles.js";

/** What chains are judged by. */
export interface Trust {
  readonly root: Certificate;
  /** In ms since 1970. */
  readonly time: number;
}

/** For messages. */
export const iso = (time: number): string => new Date(time).toISOString().replace(".000Z", "Z");

/** Reads PEM certificates. @returns undefined with a finding if one cannot be read */
export function readChain(findings: Findings, what: string, pem: Uint8Array | string): Certificate[] | undefined {
  return findings.attempt("CERTIFICATE_FORMAT", what, [PkiError], () => parsePem(pem, 8).map(parseCertificate));
}

/**
 * Checks a chain of certificates that has to have exactly `roles`, the leaf first and the root last.
 *
 * @param what its name, for messages
 * @returns the leaf if the chain has these roles and the root that was given, whatever else was found about it
 */
export function checkChain(
  findings: Findings,
  what: string,
  chain: readonly Certificate[],
  roles: readonly Role[],
  trust: Trust,
): Certificate | undefined {
  const [leaf] = chain;
  if (leaf === undefined || chain.length !== roles.length) {
    findings.add("CHAIN_LENGTH", `${what} has ${chain.length} certificates; it has to have ${roles.join(", ")}.`);
    return undefined;
  }
  const root = chain.at(-1);
  if (root === undefined || !equal(root.der, trust.root.der)) {
    findings.add("CHAIN_ROOT", `${what} ends in "${root?.subject.commonName}", which is not the root that was given.`);
    return undefined;
  }
  for (const [i, role] of roles.entries()) {
    const certificate = chain[i];
    // The root is checked once, by itself.
    if (certificate === undefined || role === "root") continue;
    const where = `the ${role} certificate of ${what}`;
    checkIssued(findings, where, certificate, chain[i + 1] ?? trust.root);
    checkTime(findings, where, certificate, trust.time);
    checkRole(findings, where, certificate, role, Math.max(0, i - 1));
  }
  return leaf;
}

/** Checks the root itself: its own signature among the rest. `below`: CAs between it and the leaves. */
export function checkRoot(findings: Findings, trust: Trust, below: number): void {
  checkIssued(findings, "the root", trust.root, trust.root);
  checkTime(findings, "the root", trust.root, trust.time);
  checkRole(findings, "the root", trust.root, "root", below);
}

function checkIssued(findings: Findings, where: string, certificate: Certificate, issuer: Certificate): void {
  const { authorityKeyId } = certificate.extensions;
  const { subjectKeyId } = issuer.extensions;
  if (!equal(certificate.issuer.der, issuer.subject.der))
    findings.add("CERTIFICATE_ISSUER", `${where} is issued by "${certificate.issuer.commonName}".`);
  else if (authorityKeyId && subjectKeyId && !equal(authorityKeyId, subjectKeyId))
    findings.add("CERTIFICATE_ISSUER", `${where} names another key of its issuer.`);
  if (!isSignedBy(certificate, issuer))
    findings.add("CERTIFICATE_SIGNATURE", `${where} is not signed by "${issuer.subject.commonName}".`);
}

function checkTime(findings: Findings, where: string, { notBefore, notAfter }: Certificate, time: number): void {
  if (time < notBefore || time > notAfter)
    findings.add("CERTIFICATE_TIME", `${where} is valid from ${iso(notBefore)} to ${iso(notAfter)}.`);
}

import type { Certificate } from "../pki/certificate.js";
import { KeyUsage } from "../pki/extensions.js";
import type { Findings } from "./reasons.js";

/** What a certificate is in its chain. */
export type Role = "PCK" | "PCK CA" | "TCB signer" | "root";

/** What tells one role from another. `name` is part of the common name, as Intel's library demands it. */
interface Rule {
  readonly ca: boolean;
  readonly usage: keyof typeof KeyUsage;
  readonly name: RegExp;
  /** Whether it says for which platform it is. */
  readonly sgx: boolean;
}

const RULES: Readonly<Record<Role, Rule>> = {
  PCK: { ca: false, usage: "digitalSignature", name: /PCK/i, sgx: true },
  "PCK CA": { ca: true, usage: "keyCertSign", name: /CA/, sgx: false },
  "TCB signer": { ca: false, usage: "digitalSignature", name: /TCB/i, sgx: false },
  root: { ca: true, usage: "keyCertSign", name: /^/, sgx: false },
};

/** Checks that a certificate may play its role. @param below how many CAs are between it and the leaf */
export function checkRole(
  findings: Findings,
  where: string,
  certificate: Certificate,
  role: Role,
  below: number,
): void {
  const { ca, usage, name, sgx } = RULES[role];
  const { basicConstraints, keyUsage, sgx: extension } = certificate.extensions;
  if ((basicConstraints?.ca ?? false) !== ca)
    findings.add("CERTIFICATE_CA", `${where} is ${ca ? "not marked as a CA" : "marked as a CA"}.`);
  else if ((basicConstraints?.pathLength ?? below) < below)
    findings.add(
      "CERTIFICATE_CA",
      `${where} allows ${basicConstraints?.pathLength} CAs below it and there is ${below}.`,
    );
  // RFC 5280, 6.1.4 (n) for roots and leaves; an intermediate CA has to have it.
  const bits = keyUsage ?? (role === "PCK CA" ? 0 : KeyUsage[usage]);
  if ((bits & KeyUsage[usage]) === 0) findings.add("CERTIFICATE_USAGE", `${where} is not for ${usage}.`);
  // RFC 5280, 4.2.1.3: only a CA may be for keyCertSign.
  if (!ca && (bits & KeyUsage.keyCertSign) !== 0 && (bits & KeyUsage[usage]) !== 0)
    findings.add("CERTIFICATE_USAGE", `${where} is for keyCertSign, as a CA is.`);
  if (!name.test(certificate.subject.commonName))
    findings.add("CERTIFICATE_ROLE", `${where} is not called one: "${certificate.subject.commonName}".`);
  if ((extension !== undefined) !== sgx)
    findings.add(
      sgx ? "SGX_EXTENSION" : "CERTIFICATE_ROLE",
      `${where} ${sgx ? "misses" : "has"} the SGX extension that a PCK certificate has.`,
    );
}

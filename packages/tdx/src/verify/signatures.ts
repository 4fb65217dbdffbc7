import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { equal } from "../bytes/equal.js";
import { isPublicKey, verifyP256 } from "../pki/ecdsa.js";
import { INTEL_QE_VENDOR_ID } from "../quote/header.js";
import type { ParsedQuote } from "../quote/quote.js";
import type { Findings } from "./reasons.js";

/** Checks what nobody signs: the vendor's id, which all quoting enclaves have, and what follows the quote. */
export function checkEnvelope(findings: Findings, { header, trailing }: ParsedQuote): void {
  if (!equal(header.qeVendorId, INTEL_QE_VENDOR_ID))
    findings.add("QUOTE_VENDOR", `The QE vendor id is ${bytesToHex(header.qeVendorId)}, which is not Intel's.`);
  if (trailing.some((byte) => byte !== 0))
    findings.add("QUOTE_TRAILING", `${trailing.length} bytes follow the quote and not all of them are zero.`);
}

/** Checks that the attestation key signed the quote, and that the QE report is about that key. */
export function checkAttestation(findings: Findings, { signature, signedBytes }: ParsedQuote): void {
  const key = concatBytes(Uint8Array.of(4), signature.attestationKey);
  if (!isPublicKey(key)) findings.add("ATTESTATION_KEY", "The attestation key is not a point of P-256.");
  else if (!verifyP256(key, signedBytes, signature.signature))
    findings.add("QUOTE_SIGNATURE", "The attestation key has not signed header and body of the quote.");
  const { reportData } = signature.qeReport;
  const hash = sha256(concatBytes(signature.attestationKey, signature.qeAuthData));
  if (!equal(reportData.subarray(0, 32), hash) || reportData.subarray(32).some((byte) => byte !== 0))
    findings.add(
      "QE_REPORT_DATA",
      `The QE report has ${bytesToHex(reportData)}; it has to have ${bytesToHex(hash)}, the hash over the attestation key and the authentication data, and zeros.`,
    );
}

/** Checks that the PCK signed the QE report. @param pck its public key, a point */
export function checkQeReport(findings: Findings, { signature, qeReportBytes }: ParsedQuote, pck: Uint8Array): void {
  if (!verifyP256(pck, qeReportBytes, signature.qeReportSignature))
    findings.add("QE_REPORT_SIGNATURE", "The PCK has not signed the QE report.");
}

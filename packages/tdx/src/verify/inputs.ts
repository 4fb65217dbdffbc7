import { type Certificate, parseCertificate } from "../pki/certificate.js";
import { PkiError } from "../pki/errors.js";
import { parsePem } from "../pki/pem.js";
import { QuoteError } from "../quote/errors.js";
import { parseQuote } from "../quote/parse.js";
import type { ParsedQuote } from "../quote/quote.js";
import type { Trust } from "./chain.js";
import { VerifyInputError } from "./errors.js";
import type { Findings } from "./reasons.js";

/** Header, the smallest body and the length of the signature data, in bytes. Less is not even the beginning of a quote. */
const SMALLEST = 48 + 384 + 4;

/** Reads a quote. @returns undefined with a finding if it cannot be read */
export function readQuote(findings: Findings, bytes: Uint8Array): ParsedQuote | undefined {
  if (!(bytes instanceof Uint8Array) || bytes.length < SMALLEST)
    throw new VerifyInputError("quote", `a quote has at least ${SMALLEST} bytes, this has ${bytes?.length}`);
  return findings.attempt("QUOTE_FORMAT", "the quote", [QuoteError], () => parseQuote(bytes));
}

/**
 * Reads the root and the time that everything is judged by.
 *
 * @param root one certificate, in DER or in PEM
 * @throws {VerifyInputError} `root` or `time`
 */
export function readTrust(root: Uint8Array, time: Date): Trust {
  const at = time instanceof Date ? time.getTime() : Number.NaN;
  if (!(at >= 0 && at < Date.UTC(10_000, 0)))
    throw new VerifyInputError("time", "the time is not one from 1970 to 9999");
  return { root: readRoot(root), time: at };
}

function readRoot(bytes: Uint8Array): Certificate {
  try {
    const [der] = bytes[0] === 0x30 ? [bytes] : parsePem(bytes, 1);
    return parseCertificate(der ?? new Uint8Array());
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw new VerifyInputError("root", `the root is not a certificate in DER or PEM: ${error.message}`);
  }
}

import type { EnclaveReport } from "./enclave-report.js";
import type { QuoteHeader } from "./header.js";
import type { TdReport10, TdReport15 } from "./td-report-body.js";

/** Body of an SGX enclave. */
export const BODY_ENCLAVE = 1;
/** Body of a TD, 584 bytes. */
export const BODY_TD_10 = 2;
/** Body of a TD, 648 bytes. */
export const BODY_TD_15 = 3;

/** What a quote is about. Only version 5 has the type in its bytes; of the others it follows from the TEE's type. */
export type QuoteBody =
  | { readonly type: typeof BODY_ENCLAVE; readonly report: EnclaveReport }
  | { readonly type: typeof BODY_TD_10; readonly report: TdReport10 }
  | { readonly type: typeof BODY_TD_15; readonly report: TdReport15 };

/** How the key that signed the quoting enclave's report is vouched for, by its number in a quote. */
export const CERTIFICATION_TYPES = {
  1: "PCK identifier: PPID in plain text, CPUSVN and PCESVN",
  2: "PCK identifier: PPID encrypted with RSA-2048-OAEP, CPUSVN and PCESVN",
  3: "PCK identifier: PPID encrypted with RSA-3072-OAEP, CPUSVN, PCESVN and PCEID",
  4: "PCK leaf certificate in plain text",
  5: "concatenated PCK certificate chain",
  6: "QE report certification data",
  7: "platform manifest",
} as const;
/** PEM certificates of the PCK, its CA and the root, one after the other; may end with a zero byte. */
export const CERTIFICATION_PCK_CHAIN = 5;
/** The quoting enclave's report with its own certification: what versions 4 and 5 have around the rest. */
export const CERTIFICATION_QE_REPORT = 6;

/** What vouches for the key that signed the quoting enclave's report. */
export interface CertificationData {
  /** One of {@link CERTIFICATION_TYPES}, but not 6. */
  readonly type: number;
  /** For type 5 text in PEM, as it is in the quote. */
  readonly data: Uint8Array;
}

/** The signature over a quote, and what says that its key is a quoting enclave's. */
export interface QuoteSignature {
  /** ECDSA P-256 by the attestation key over SHA-256 of the header and the body: r and s, 32 bytes each, big-endian. */
  readonly signature: Uint8Array;
  /** Public attestation key: x and y, 32 bytes each, big-endian. */
  readonly attestationKey: Uint8Array;
  /** The quoting enclave's own report. */
  readonly qeReport: EnclaveReport;
  /** ECDSA P-256 by the PCK over SHA-256 of the 384 bytes of the report: r and s, 32 bytes each, big-endian. */
  readonly qeReportSignature: Uint8Array;
  /** The quoting enclave's, 0 to 65535 bytes. All of them count in the hash in its report data. */
  readonly qeAuthData: Uint8Array;
  readonly certification: CertificationData;
}

/** A quote. */
export interface Quote {
  readonly header: QuoteHeader;
  readonly body: QuoteBody;
  readonly signature: QuoteSignature;
}

/** A quote as it was in bytes, with the ranges that are signed. They are views of a private copy of what was parsed. */
export interface ParsedQuote extends Quote {
  /** What {@link QuoteSignature.signature} is over: all bytes before the length of the signature data. */
  readonly signedBytes: Uint8Array;
  /** What {@link QuoteSignature.qeReportSignature} is over, 384 bytes. */
  readonly qeReportBytes: Uint8Array;
  /** Bytes of the quote itself. */
  readonly size: number;
  /** What follows the quote. Nothing vouches for it. Buffers of quotes often end with zeros. */
  readonly trailing: Uint8Array;
}

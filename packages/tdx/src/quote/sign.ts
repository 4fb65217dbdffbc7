import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { publicKeyOf, signP256 } from "../pki/ecdsa.js";
import { ENCLAVE_REPORT, type EnclaveReport } from "./enclave-report.js";
import { encodeQuote, encodeSignedBytes } from "./encode.js";
import { CERTIFICATION_PCK_CHAIN, type Quote, type QuoteSignature } from "./quote.js";

/** What a quoting enclave signs quotes with. */
export interface AttestationKey {
  /** Secret key of P-256, 32 bytes. */
  readonly secret: Uint8Array;
  /** What vouches for it: the rest of a quote's signature. */
  readonly certified: Omit<QuoteSignature, "signature">;
}

/** Who certifies an attestation key. */
export interface Certifier {
  /** Secret key of the PCK, 32 bytes. */
  readonly pckSecret: Uint8Array;
  /** PCK, PCK CA and root in PEM, one after the other. */
  readonly pckChain: string;
  /** The quoting enclave's report, but for its report data. */
  readonly qeReport: Omit<EnclaveReport, "reportData">;
  /** 0 to 65535 bytes. Some verifiers take 32 only. */
  readonly qeAuthData: Uint8Array;
}

/** Certifies an attestation key: the quoting enclave's report over its hash, signed by the PCK. */
export function certifyAttestationKey(secret: Uint8Array, by: Certifier): AttestationKey {
  const attestationKey = publicKeyOf(secret).slice(1);
  const reportData = new Uint8Array(64);
  reportData.set(sha256(concatBytes(attestationKey, by.qeAuthData)));
  const qeReport = { ...by.qeReport, reportData };
  const certified = {
    attestationKey,
    qeReport,
    qeReportSignature: signP256(by.pckSecret, ENCLAVE_REPORT.write(qeReport)),
    qeAuthData: by.qeAuthData,
    certification: { type: CERTIFICATION_PCK_CHAIN, data: utf8ToBytes(`${by.pckChain}\0`) },
  };
  return { secret, certified };
}

/**
 * The bytes of a quote that `key` has signed.
 *
 * @throws {FieldError} for a value that does not fit, or a body that the header's version and TEE do not have
 */
export function signQuote({ header, body }: Pick<Quote, "header" | "body">, key: AttestationKey): Uint8Array {
  const signature = signP256(key.secret, encodeSignedBytes({ header, body }));
  return encodeQuote({ header, body, signature: { ...key.certified, signature } });
}

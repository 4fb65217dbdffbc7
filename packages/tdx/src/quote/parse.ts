import { ByteReader } from "../bytes/reader.js";
import { bodyTypes, readBody } from "./body.js";
import { ENCLAVE_REPORT } from "./enclave-report.js";
import { QuoteError } from "./errors.js";
import { ATTESTATION_KEY_ECDSA_P256, QUOTE_HEADER, type QuoteHeader } from "./header.js";
import {
  CERTIFICATION_QE_REPORT,
  CERTIFICATION_TYPES,
  type CertificationData,
  type ParsedQuote,
  type QuoteSignature,
} from "./quote.js";

/**
 * Parses a quote of version 3 (SGX), 4 or 5. Says nothing about whether it is true: no signature is checked.
 *
 * Every length has to be that of what it is the length of; what follows the quote is handed out as
 * {@link ParsedQuote.trailing}. The bytes are copied, so changing them later changes nothing.
 *
 * @throws {QuoteError} for everything that is not a quote; nothing else
 * @example
 * const quote = parseQuote(bytes);
 * if (quote.body.type !== BODY_ENCLAVE) console.log(quote.body.report.mrTd);
 */
export function parseQuote(bytes: Uint8Array): ParsedQuote {
  const copy = Uint8Array.from(bytes);
  const reader = new ByteReader(copy, truncated);
  const header = readHeader(reader);
  const body = readBody(header, reader);
  const signedBytes = copy.subarray(0, reader.at);
  const data = reader.part(reader.u32("length of the signature data"), "signature data");
  const { signature, qeReportBytes } = readSignature(header.version, data);
  return {
    header,
    body,
    signature,
    signedBytes,
    qeReportBytes,
    size: reader.at,
    trailing: reader.bytes(reader.left, "trailing bytes"),
  };
}

function truncated(field: string, at: number, wanted: number, left: number): never {
  throw new QuoteError("truncated", at, `${field} needs ${wanted} bytes and ${left} are left`);
}

function readHeader(reader: ByteReader): QuoteHeader {
  const header = QUOTE_HEADER.read(reader.bytes(QUOTE_HEADER.size, "header"));
  const { version, attestationKeyType, teeType } = header;
  if (version < 3 || version > 5) throw new QuoteError("version", 0, `version ${version}; 3, 4 and 5 are known`);
  if (attestationKeyType !== ATTESTATION_KEY_ECDSA_P256) {
    const accepted = "2 (ECDSA-256-with-P-256) is supported";
    throw new QuoteError("attestation-key-type", 2, `attestation key type ${attestationKeyType}; ${accepted}`);
  }
  if (bodyTypes(version, teeType).length === 0) {
    const accepted = version === 3 ? "0 (SGX) is possible in version 3" : "0 (SGX) and 0x81 (TDX) are known";
    throw new QuoteError("tee-type", 4, `TEE type 0x${teeType.toString(16)}; ${accepted}`);
  }
  return header;
}

/** Reads the signature data, which has to be exactly what `data` reads. */
function readSignature(version: number, data: ByteReader) {
  const signature = data.bytes(64, "signature");
  const attestationKey = data.bytes(64, "attestation key");
  // Version 3 has the quoting enclave's report here itself, the later ones have it as certification data.
  const inner = version === 3 ? data : qeReportCertification(data);
  const qeReportBytes = inner.bytes(ENCLAVE_REPORT.size, "QE report");
  const qeReportSignature = inner.bytes(64, "signature of the QE report");
  const qeAuthData = inner.bytes(inner.u16("length of the QE authentication data"), "QE authentication data");
  const certification = readCertification(inner);
  for (const part of [inner, data]) {
    if (part.left > 0) throw new QuoteError("length", part.at, `${part.left} bytes too many in the signature data`);
  }
  const qeReport = ENCLAVE_REPORT.read(qeReportBytes);
  const read: QuoteSignature = {
    signature,
    attestationKey,
    qeReport,
    qeReportSignature,
    qeAuthData,
    certification,
  };
  return { signature: read, qeReportBytes };
}

function qeReportCertification(data: ByteReader): ByteReader {
  const at = data.at;
  const type = data.u16("certification data type");
  if (type !== CERTIFICATION_QE_REPORT) refuseType(type, at, "it has to be 6 (QE report certification data) here");
  return data.part(data.u32("size of the certification data"), "certification data");
}

function readCertification(inner: ByteReader): CertificationData {
  const at = inner.at;
  const type = inner.u16("certification data type");
  if (!Object.hasOwn(CERTIFICATION_TYPES, type) || type === CERTIFICATION_QE_REPORT)
    refuseType(type, at, "it may be 1 to 5 or 7 beside a QE report");
  return { type, data: inner.bytes(inner.u32("size of the certification data"), "certification data") };
}

function refuseType(type: number, at: number, accepted: string): never {
  const known: Readonly<Record<number, string>> = CERTIFICATION_TYPES;
  const name = Object.hasOwn(known, type) ? ` (${known[type]})` : "";
  throw new QuoteError("certification-type", at, `certification data type ${type}${name}; ${accepted}`);
}

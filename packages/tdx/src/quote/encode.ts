import { concatBytes } from "@noble/hashes/utils.js";
import { FieldError } from "../bytes/errors.js";
import { bytes, Struct, u16, u32 } from "../bytes/struct.js";
import { bodyTypes, writeReport } from "./body.js";
import { ENCLAVE_REPORT } from "./enclave-report.js";
import { QUOTE_HEADER } from "./header.js";
import { CERTIFICATION_QE_REPORT, type Quote, type QuoteSignature } from "./quote.js";

const BODY_DESCRIPTOR = new Struct({ type: u16, size: u32 });
const CERTIFICATION = new Struct({ type: u16, size: u32 });
const KEY_AND_SIGNATURE = new Struct({ signature: bytes(64), attestationKey: bytes(64) });
const QE_SIGNATURE = new Struct({ qeReportSignature: bytes(64) });
const LENGTH_16 = new Struct({ length: u16 });
const LENGTH_32 = new Struct({ length: u32 });

/**
 * The bytes of a quote that its attestation key signs: header and body, in version 5 with the body's descriptor.
 *
 * @throws {FieldError} for a value that does not fit, or a body that the header's version and TEE do not have
 */
export function encodeSignedBytes({ header, body }: Pick<Quote, "header" | "body">): Uint8Array {
  const { version, teeType } = header;
  if (version < 3 || version > 5 || !bodyTypes(version, teeType).includes(body.type)) {
    const what = `version ${version} of TEE type ${teeType} with body type ${body.type}`;
    throw new FieldError("field-range", `${what}; 3 (SGX, 1), 4 (SGX, 1; TDX, 2) and 5 (SGX, 1; TDX, 2 or 3) exist`);
  }
  const report = writeReport(body);
  const descriptor = BODY_DESCRIPTOR.write({ type: body.type, size: report.length });
  return concatBytes(QUOTE_HEADER.write({ ...header }), ...(version === 5 ? [descriptor] : []), report);
}

/**
 * The bytes of a quote, the inverse of `parseQuote` for what is not trailing. Signs nothing and checks no signature.
 *
 * @throws {FieldError} as {@link encodeSignedBytes}
 */
export function encodeQuote(quote: Quote): Uint8Array {
  const data = signatureData(quote.header.version, quote.signature);
  return concatBytes(encodeSignedBytes(quote), LENGTH_32.write({ length: data.length }), data);
}

function signatureData(version: number, signature: QuoteSignature): Uint8Array {
  const { attestationKey, qeReport, qeReportSignature, qeAuthData, certification } = signature;
  const inner = concatBytes(
    ENCLAVE_REPORT.write({ ...qeReport }),
    QE_SIGNATURE.write({ qeReportSignature }),
    LENGTH_16.write({ length: qeAuthData.length }),
    qeAuthData,
    CERTIFICATION.write({ type: certification.type, size: certification.data.length }),
    certification.data,
  );
  const outer = CERTIFICATION.write({ type: CERTIFICATION_QE_REPORT, size: inner.length });
  const signed = KEY_AND_SIGNATURE.write({ signature: signature.signature, attestationKey });
  return concatBytes(signed, ...(version === 3 ? [] : [outer]), inner);
}

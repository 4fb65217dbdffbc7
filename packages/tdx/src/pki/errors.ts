/** Which kind of thing could not be read. */
export type PkiErrorCode =
  /** Not the distinguished encoding of ASN.1: a malleable, truncated or unexpected value. */
  | "der"
  /** Not PEM as RFC 7468 generates it, or too many certificates. */
  | "pem"
  /** A certificate with a version, algorithm, name or extension that cannot be used. */
  | "certificate"
  /** A revocation list with a version, algorithm, name or extension that cannot be used. */
  | "crl"
  /** Intel's SGX extension misses a field, has one twice or has one of another size. */
  | "sgx-extension";

/** Bytes that are not what they are given for. The message says what was found and what would be accepted. */
export class PkiError extends Error {
  override readonly name = "PkiError";

  constructor(
    readonly code: PkiErrorCode,
    message: string,
  ) {
    super(message);
  }
}

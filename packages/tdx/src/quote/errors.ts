/** What is wrong with the bytes of a quote. */
export type QuoteErrorCode =
  /** The quote ends before a field does. */
  | "truncated"
  /** A length says more or less than what it is the length of. */
  | "length"
  /** A version other than 3, 4 and 5. */
  | "version"
  /** An attestation key other than ECDSA-256-with-P-256. */
  | "attestation-key-type"
  /** Neither SGX (0) nor TDX (0x81), or one that the version has no body for. */
  | "tee-type"
  /** A body type other than 1, 2 and 3, or another than the TEE's. */
  | "body-type"
  /** A size in the descriptor of the body other than the type's. */
  | "body-size"
  /** A kind of certification data that is unknown or not possible where it is. */
  | "certification-type";

/** Bytes that are not a quote. The message says what, where, and what would be accepted. */
export class QuoteError extends Error {
  override readonly name = "QuoteError";

  constructor(
    readonly code: QuoteErrorCode,
    /** Where the field starts, in bytes from the start of the quote. */
    readonly offset: number,
    message: string,
  ) {
    super(`${message} (at byte ${offset} of the quote)`);
  }
}

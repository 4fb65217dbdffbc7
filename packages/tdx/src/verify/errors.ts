/** What a caller gave that nothing can be verified with. */
export type VerifyInputErrorCode =
  /** Fewer bytes than any quote has. */
  | "quote"
  /** The root is not one certificate, in DER or PEM. */
  | "root"
  /** The time is not one, or not from 1970 to 9999. */
  | "time"
  /** The collateral is not a JSON object. */
  | "collateral"
  /** The policy accepts a status that there is not, Revoked or NotSupported. */
  | "policy";

/** Nothing was verified: what was given is unusable. Quotes and collateral that are merely false are rejected instead. */
export class VerifyInputError extends Error {
  override readonly name = "VerifyInputError";

  constructor(
    readonly code: VerifyInputErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** What was wrong with a value that was to be written into a binary structure. */
export type FieldErrorCode =
  /** A string of bytes has another length than its field. */
  | "field-size"
  /** A number does not fit into its field. */
  | "field-range";

/** A value does not fit into the field of a binary structure that it was given for. */
export class FieldError extends Error {
  override readonly name = "FieldError";

  constructor(
    readonly code: FieldErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Why an image cannot be used as it was asked for, or cannot go on being used. */
export type DiskErrorCode =
  /** It is no file or device with sectors, or its size is not that of a disk. */
  | "unusable"
  /** Its format is one this machine does not read. */
  | "format"
  /** Its format is read, but not with this feature. */
  | "unsupported"
  /** It contradicts itself. */
  | "corrupt"
  /** Someone else has it open. */
  | "busy"
  /** A chain of backing files is too long or comes back to itself. */
  | "chain"
  /** What was to be written does not fit, or is not allowed there. */
  | "refused";

/** An image cannot be used. The message is one sentence without the image's name. */
export class DiskError extends Error {
  override readonly name = "DiskError";

  constructor(
    readonly code: DiskErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

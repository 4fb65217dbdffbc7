/** What is wrong with a firmware image. */
export type TdvfErrorCode =
  /** Too short for a footer, or too long. */
  | "size"
  /** No metadata: firmware of another kind. */
  | "no-metadata"
  /** The table of GUIDs at the end is broken. */
  | "table"
  /** The metadata is, in whole or in part, outside of the image. */
  | "metadata-offset"
  /** The metadata does not start with "TDVF". */
  | "signature"
  /** A version of the metadata other than 1. */
  | "version"
  /** The metadata's length is not that of its sections. */
  | "length"
  /** No section, or too many. */
  | "section-count"
  /** A type of section that is not defined. */
  | "section-type"
  /** Attributes that are not defined, or that contradict each other or the section's type. */
  | "attributes"
  /** The section's bytes are not in the image. */
  | "file-range"
  /** The section's memory is not below 2^52, is too little for its bytes, or too much. */
  | "memory-range"
  /** Memory that does not start or end at a page. */
  | "alignment"
  /** Bytes in the image where there may be none, or none where there have to be some. */
  | "content"
  /** Two sections have memory in common. */
  | "overlap"
  /** More sections of a type than there may be. */
  | "duplicate"
  /** No section of a type that there has to be. */
  | "missing"
  /** Measured memory whose content is the host's, so that the image does not say what is measured. */
  | "unmeasurable";

/** A firmware image whose TDVF metadata cannot be used. The message says what, where, and what would be accepted. */
export class TdvfError extends Error {
  override readonly name = "TdvfError";

  constructor(
    readonly code: TdvfErrorCode,
    message: string,
  ) {
    super(message);
  }
}

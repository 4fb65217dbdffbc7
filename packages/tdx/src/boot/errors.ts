/** Why a TD's image cannot be made. */
export type TdImageErrorCode =
  /** Two parts want the same byte, or a part lies where it must not. */
  | "overlap"
  /** An address or a size is not what it must be. */
  | "range"
  /** There are more ranges to accept than the loader has room for, or more pages to add than firmware may want. */
  | "too-many";

/** Parts of a TD that do not go together, before anything was made of them. */
export class TdImageError extends Error {
  override readonly name = "TdImageError";

  constructor(
    readonly code: TdImageErrorCode,
    message: string,
  ) {
    super(message);
  }
}

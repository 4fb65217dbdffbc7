/** What went wrong while getting a guest. */
export type GuestErrorCode =
  /** This machine has no apt-get or dpkg-deb. */
  | "no-apt"
  /** What was asked needs root rights. */
  | "not-root"
  /** apt sees no package that would do. */
  | "no-package"
  /** apt could not be run, or could not fetch. */
  | "fetch-failed"
  /** A package was fetched and does not hold what it should. */
  | "bad-package";

/** Thrown by everything in this package that cannot get what it was asked for. The message is one sentence for a person. */
export class GuestError extends Error {
  override readonly name = "GuestError";
  constructor(
    readonly code: GuestErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

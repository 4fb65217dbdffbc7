import type { PageType } from "./page-type.js";

/** The host reached for a frame that is a TD's, or the module's own. What is in it is not to be had, not even as something else. */
export class PrivateFrameError extends Error {
  override readonly name = "PrivateFrameError";
  readonly code = "private-frame";

  constructor(
    /** Physical address of the frame. */
    readonly hpa: number,
    /** What it is used for; {@link PageType.Nda} and {@link PageType.Rsvd} for the module's own tables. */
    readonly type: PageType,
  ) {
    super(`the frame at 0x${hpa.toString(16)} is private (page type ${type}); a host has frames that are no TD's`);
  }
}

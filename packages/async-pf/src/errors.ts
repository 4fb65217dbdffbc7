/**
 * What was wrong with a call: an option, a frame number, a vCPU's number, a call that cannot be made now, a state that cannot be restored, an area that is
 * not memory.
 */
export type AsyncPfErrorCode = "option" | "gfn" | "vcpu" | "order" | "state" | "area";

/** The host itself gave what cannot be used; nothing has changed. The message names it and says what would be accepted. */
export class AsyncPfError extends RangeError {
  override readonly name = "AsyncPfError";

  constructor(
    readonly code: AsyncPfErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** A frame could not be brought. `cause` is what the backend said. */
export class FetchError extends Error {
  override readonly name = "FetchError";
  readonly code = "fetch";

  /**
   * @param gfn guest frame number (4 KiB)
   * @param vcpus who stands until it is there, by number; none: nobody waits for it any more
   */
  constructor(
    readonly gfn: number,
    readonly vcpus: readonly number[],
    cause: unknown,
  ) {
    super(
      vcpus.length === 0
        ? `frame 0x${gfn.toString(16)} could not be brought; no vCPU waits for it any more`
        : `frame 0x${gfn.toString(16)} could not be brought: vCPU ${vcpus.join(", ")} cannot go on without it`,
      { cause },
    );
  }
}

/** What is not as it was expected of a guest. */
export type GuestOsErrorCode =
  /** No 64-bit Linux is there, or none yet. */
  | "not-started"
  /** The kernel was built without something that is needed. */
  | "unsupported"
  | "no-symbol"
  | "no-member"
  /** Nothing is mapped at an address. */
  | "unmapped"
  /** The kernel's type information makes no sense. */
  | "types"
  /** More or larger than any kernel has it. */
  | "implausible";

/** What was expected of the guest is not there. */
export class GuestOsError extends Error {
  override readonly name: string = "GuestOsError";
  constructor(
    readonly code: GuestOsErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** No 64-bit Linux is there, or none yet: it may be worth trying again. */
export class NotStartedError extends GuestOsError {
  override readonly name = "NotStartedError";
  constructor() {
    super("not-started", "the guest is no 64-bit Linux, or has not got that far yet");
  }
}

/** An address that the guest has not mapped, or where no memory is. */
export class UnmappedError extends GuestOsError {
  override readonly name = "UnmappedError";
  constructor(readonly address: bigint) {
    super("unmapped", `nothing is mapped at 0x${address.toString(16)}`);
  }
}

/** The kernel's type information makes no sense. */
export class BtfError extends GuestOsError {
  override readonly name = "BtfError";
  /** @param what is wrong, with where */
  constructor(what: string) {
    super("types", `the kernel's type information makes no sense: ${what}`);
  }
}

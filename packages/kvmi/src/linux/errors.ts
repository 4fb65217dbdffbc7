/** What was expected of the guest is not there. */
export class GuestOsError extends Error {
  override readonly name: string = "GuestOsError";
}

/** No 64-bit Linux is there, or none yet: it may be worth trying again. */
export class NotStartedError extends GuestOsError {
  override readonly name = "NotStartedError";
  constructor() {
    super("the guest is no 64-bit Linux, or has not got that far yet");
  }
}

/** An address that the guest has not mapped, or where no memory is. */
export class UnmappedError extends GuestOsError {
  override readonly name = "UnmappedError";
  constructor(readonly address: bigint) {
    super(`nothing is mapped at 0x${address.toString(16)}`);
  }
}

/** The kernel's type information makes no sense. */
export class BtfError extends GuestOsError {
  override readonly name = "BtfError";
  /** @param what is wrong, with where */
  constructor(what: string) {
    super(`the kernel's type information makes no sense: ${what}`);
  }
}

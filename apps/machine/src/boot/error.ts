/** What is wrong with a kernel. */
export type KernelErrorCode =
  /** It is nothing that can be started here. */
  | "format"
  /** The file ends too early. */
  | "cut-short"
  /** What it says of itself cannot be true. */
  | "damaged"
  /** It is for another processor. */
  | "processor"
  /** It is packed in a way that is not known here. */
  | "packing"
  /** It wants to be where it cannot be. */
  | "place"
  /** It is too large for the machine or the host. */
  | "size";

/** A kernel cannot be used. The message is a clause about the kernel, for the user: "it is cut short: ...". */
export class KernelError extends Error {
  override readonly name = "KernelError";

  constructor(
    readonly code: KernelErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A kernel is packed in a way that is not known here. Its own code may still unpack it. */
export class UnknownPackingError extends KernelError {
  constructor(message: string) {
    super("packing", message);
  }
}

/** What does not go with the rest: the memory is too small, the command line too long or not a line, the disks cannot be found. */
export type BootErrorCode = "memory" | "command-line" | "disks";

/** A kernel, initial ram disk, command line or memory size do not go together. The message is one sentence for the user. */
export class BootError extends Error {
  override readonly name = "BootError";

  constructor(
    readonly code: BootErrorCode,
    message: string,
  ) {
    super(message);
  }
}

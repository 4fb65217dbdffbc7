/** A kernel cannot be used. The message is a clause about the kernel, for the user: "it is cut short: ...". */
export class KernelError extends Error {
  override readonly name = "KernelError";
}

/** A kernel is packed in a way that is not known here. Its own code may still unpack it. */
export class UnknownPackingError extends KernelError {}

/** A kernel, initial ram disk, command line or memory size do not go together. The message is one sentence for the user. */
export class BootError extends Error {
  override readonly name = "BootError";
}

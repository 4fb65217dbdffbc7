/** A kernel, initial ram disk or memory size cannot be used. The message is one sentence for the user. */
export class BootError extends Error {
  override readonly name = "BootError";
}

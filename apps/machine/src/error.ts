/** What kind of thing is impossible. */
export type MachineErrorCode =
  /** An option is not of its kind, not within its range, or unknown. */
  | "option"
  /** An address, a port, an interrupt, a register or a number is somebody else's already. */
  | "taken"
  /** There is nothing left of what was asked for. */
  | "exhausted"
  /** It is too late, or too early. */
  | "state"
  /** It is the guest's own: a TD's registers, or memory that it does not share. */
  | "private"
  /** A command of the guest's has not ended, or never started. */
  | "exec";

/** What was asked of a machine is impossible. Nothing has changed. The message is one sentence for the user. */
export class MachineError extends Error {
  override readonly name = "MachineError";

  constructor(
    readonly code: MachineErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

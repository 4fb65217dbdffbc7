/** What was asked of a machine is impossible. Nothing has changed. The message is one sentence for the user. */
export class MachineError extends Error {
  override readonly name = "MachineError";
}

/** The connection ended before a command was answered. */
export class DisconnectedError extends Error {
  override readonly name: string = "DisconnectedError";
  readonly code: "disconnected" | "protocol" = "disconnected";
  constructor(message = "the machine has closed the connection") {
    super(message);
  }
}

/** The other side is no machine, or one that does not keep to the protocol: the connection has been closed. */
export class ProtocolError extends DisconnectedError {
  override readonly name = "ProtocolError";
  override readonly code = "protocol";
  /** @param what it has done, with what would have been right */
  constructor(what: string) {
    super(`the machine does not keep to the protocol: ${what}`);
  }
}

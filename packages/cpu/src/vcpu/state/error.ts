/** A state that no vCPU can be in, or a vCPU that can neither give nor take one at the moment. The message names the offending field. */
export class VcpuStateError extends Error {
  override readonly name = "VcpuStateError";
  /** `state`: it is refused. `running`: the vCPU is between the beginning and the end of an instruction. */
  readonly code: "state" | "running";

  constructor(message: string, code: "state" | "running" = "state") {
    super(message);
    this.code = code;
  }
}

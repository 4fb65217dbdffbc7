/** A benchmark that cannot be run here, or whose run was not what it has to be. The message is for a person. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}

import { KernelError } from "./error.js";

/** What comes out of a compressed payload. It takes as many bytes as the kernel declares and refuses the first one beyond. */
export class Payload {
  /** The bytes, zero where nothing has come yet. */
  readonly bytes: Uint8Array;
  /** Bytes that have come. */
  length = 0;

  /** @param size bytes that the kernel declares @throws {KernelError} if the host has not so much memory */
  constructor(size: number) {
    try {
      this.bytes = new Uint8Array(size);
    } catch (cause) {
      throw new KernelError("size", `its payload unpacks to ${size} bytes, for which the host has no memory`, {
        cause,
      });
    }
  }

  /** @throws {KernelError} if `more` bytes are more than there should be */
  expect(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    throw new KernelError(
      "damaged",
      `its payload unpacks to more than the ${this.bytes.length} bytes that it declares`,
    );
  }

  /** @throws {KernelError} if there are more bytes than there should be */
  append(chunk: Uint8Array): void {
    this.expect(chunk.length);
    this.bytes.set(chunk, this.length);
    this.length += chunk.length;
  }
}

/**
 * Why a guest ended.
 * - `interrupts-off`: the host told of a missing page where interrupts were off.
 * - `kernel-mode`: it did so at CPL 0.
 * - `stack-freed`: the place on its stack where a task waits was taken for memory of the allocator, and freed; Linux does not notice, but is broken from there on.
 */
export type PanicCode = "interrupts-off" | "kernel-mode" | "stack-freed";

/** The guest's kernel has ended. Thrown out of what the CPU did. */
export class GuestPanic extends Error {
  override readonly name = "GuestPanic";

  constructor(
    readonly code: PanicCode,
    message: string,
  ) {
    super(message);
  }
}

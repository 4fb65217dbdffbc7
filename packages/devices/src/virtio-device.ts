import type { DescriptorChain } from "./descriptor-chain.js";

/** What a virtio device needs of its transport. */
export interface VirtioHost {
  /** Takes the next request of a queue; null if there is none, the driver is not ready or the device must be reset. */
  take(queue: number): DescriptorChain | null;
  /** Takes again a request that was in flight when the state was saved. */
  retake(queue: number, head: number): DescriptorChain | null;
  /** Gives a request back with the number of bytes written to its start. Dead chains are ignored. */
  give(queue: number, chain: DescriptorChain, written: number): void;
  /** The driver broke the device's protocol, or named memory that cannot be reached: DEVICE_NEEDS_RESET (virtio 1.2, 2.1.1). */
  fail(): void;
  /** The configuration space has changed. */
  configChanged(): void;
  /** Asks for a call of the device's `work`: soon, and never from inside this call. */
  wake(): void;
  /** Something the guest waits for is under way outside the machine, until the returned function is called; see {@link Turns}. */
  begin(): () => void;
}

/** A virtio device without its transport (virtio 1.2 chapter 5). `S` is its saved state. */
export interface VirtioDevice<S> {
  /** Device ID (virtio 1.2 chapter 5). */
  readonly deviceId: number;
  /** Feature bits 0-23, those of the device type. */
  readonly features: number;
  /** Maximum size of every queue, powers of two. */
  readonly queueSizes: readonly number[];
  /** Called once, before anything else. */
  connect(host: VirtioHost): void;
  /** The configuration space, as bytes. Reads beyond it give 0. */
  readonly config: Uint8Array;
  /**
   * Works on what waits, for as long as a {@link WorkBudget} lasts: called after notifications, when the driver becomes ready, and after `wake`.
   * @returns whether the budget ended before the work did
   */
  work(): boolean;
  /** The driver reset the device: forget its requests. */
  reset(): void;
  save(): S;
  /** What a saved state says, before anything changes. Absent: {@link restore} throws the same by itself. @throws {StateError} */
  readState?(value: unknown, path?: string): S;
  /** Takes a saved state; the transport's is restored already, and a call of `work` follows. @throws {StateError} */
  restore(state: S): void;
}

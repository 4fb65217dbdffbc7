import type { KvmiClient } from "../client/client.js";
import { NotStartedError } from "./errors.js";
import { LinuxKernel } from "./kernel.js";

export interface OnceOptions {
  /** Ends the waiting: rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Time between two looks, ms. Default: 100. */
  readonly intervalMs?: number | undefined;
}

const INTERVAL_MS = 100;

/**
 * Looks again and again, as long as `look` finds null or throws {@link NotStartedError}: at a guest that has not got far enough yet.
 * @returns what it finds
 */
export async function once<T>(look: () => Promise<T | null>, options: OnceOptions = {}): Promise<T> {
  const { signal, intervalMs = INTERVAL_MS } = options;
  for (;;) {
    signal?.throwIfAborted();
    const found = await look().catch((error: unknown) => {
      if (error instanceof NotStartedError) return null;
      throw error;
    });
    if (found !== null) return found;
    await delay(intervalMs, signal);
  }
}

/** The guest's kernel, as soon as it has got far enough to be found. @throws {GuestOsError} if it is none that can be read */
export const linux = (client: KvmiClient, options?: OnceOptions): Promise<LinuxKernel> =>
  once(() => LinuxKernel.find(client), options);

/** Resolves after `ms`, or at once when `signal` is aborted. */
function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, signal?.aborted === true ? 0 : ms);
    signal?.addEventListener("abort", end);
  });
}

import { ensureGuests, GuestError, type Guests, type Series } from "@vm/guests";

/** Debian's kernels and our ram disk; null where there is no apt to get them with. Any other reason is a failure. */
export const guests: Guests | null = await ensureGuests().catch((error: unknown) => {
  if (error instanceof GuestError && error.code === "no-apt") return null;
  throw error;
});

/** `boot` with the kernel and ram disk of a series. */
export function bootFlags(series: Series): string[] {
  if (guests === null) throw new GuestError("no-apt", "there is no apt on this machine");
  return ["boot", "--kernel", guests.kernel(series), "--initrd", guests.initrd(series), "--timeout", "240"];
}

/** Kernels for tests that differ little between them: both with VM_TESTS=full. */
export const KERNELS: readonly ("6.1" | "6.12")[] = process.env.VM_TESTS === "full" ? ["6.1", "6.12"] : ["6.12"];

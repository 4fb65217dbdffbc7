import type { Series } from "@vm/guests";
import { UsageError } from "./errors.js";
import type { BootFlags } from "./flags.js";

/** What to do where Debian's kernel cannot be had. */
const INSTEAD =
  "--builtin boots the small guest that comes with it, --kernel VMLINUZ --initrd INITRAMFS a Linux of your own";

/**
 * The flags with a kernel and an initial ram disk, unless they name a kernel or ask for the built-in guest: Debian's cloud kernel of the series in
 * `VM_GUEST`, and the ram disk that goes with it, fetched if need be with progress on stderr.
 * @param preferred series without `VM_GUEST`; default: the first there is
 * @throws {UsageError} where they cannot be had
 */
export async function withGuest(flags: BootFlags, preferred?: Series): Promise<BootFlags> {
  if (flags.kernel !== undefined || flags.builtin) return flags;
  const { ensureGuests, GuestError, progressLine, SERIES } = await import("@vm/guests");
  const wanted = process.env.VM_GUEST || undefined;
  const isSeries = (name: string): name is Series => (SERIES as readonly string[]).includes(name);
  if (wanted !== undefined && !isSeries(wanted))
    throw new UsageError(`VM_GUEST="${wanted}" is not a series of kernels; there are ${SERIES.join(" and ")}`);
  const line = progressLine(process.stderr);
  try {
    const guests = await ensureGuests({ onProgress: line.show });
    const series = wanted ?? preferred ?? SERIES.find((name) => guests.kernels[name] !== undefined) ?? SERIES[0];
    return { ...flags, kernel: guests.kernel(series), initrd: flags.initrd ?? guests.initrd(series) };
  } catch (error) {
    if (!(error instanceof GuestError)) throw error;
    throw new UsageError(`${error.message}; ${INSTEAD}`);
  } finally {
    line.end();
  }
}

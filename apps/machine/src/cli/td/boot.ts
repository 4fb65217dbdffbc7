import { type Plugin, tdx } from "../../index.js";
import { boot } from "../boot.js";
import { UsageError } from "../errors.js";
import type { BootFlags } from "../flags.js";

/**
 * `vm td boot`: returns the status of the program.
 * @param plugins one of which makes it a TD
 * @throws {UsageError} before anything has started
 */
export async function bootTd(flags: BootFlags, plugins: readonly Plugin[] = [tdx()]): Promise<number> {
  if (flags.builtin)
    throw new UsageError("--builtin: a TD needs a Linux kernel; the built-in guest knows nothing of TDX");
  for (const [flag, value] of [
    ["--kvmi", flags.kvmi],
    ["--bpf", flags.bpf],
    ["--legacy-devices", flags.legacyDevices],
  ] as const)
    if (value !== undefined) throw new UsageError(`${flag} does not go with a TD: nobody looks into it`);
  return boot(flags, plugins, "6.12");
}

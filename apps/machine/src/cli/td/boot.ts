import { parseTdvf } from "@vm/tdx";
import { type Plugin, type TdxOptions, tdx } from "../../index.js";
import { boot } from "../boot.js";
import { UsageError } from "../errors.js";
import { type BootFlags, parseFlags } from "../flags.js";
import { readFile } from "../read-file.js";
import { withinTime } from "../within-time.js";
import { unusable } from "./input.js";

/** The flags of `vm td boot`: those of `vm boot`, and its own. */
export interface TdBootFlags extends BootFlags {
  readonly firmware?: string;
  readonly shim?: string;
  /** False with `--no-secure-boot`. */
  readonly secureBoot?: boolean;
}

/** Bytes of firmware, or of a shim, at most. */
const MOST = 16 * 2 ** 20;

/**
 * `vm td boot`: returns the status of the program.
 * @param options of the TD, besides those of the flags
 * @param plugins that look on
 * @throws {UsageError} before anything has started
 */
export async function bootTd(
  flags: TdBootFlags,
  options: TdxOptions = {},
  plugins: readonly Plugin[] = [],
): Promise<number> {
  if (flags.builtin)
    throw new UsageError("--builtin: a TD needs a Linux kernel; the built-in guest knows nothing of TDX");
  for (const [flag, value] of [
    ["--kvmi", flags.kvmi],
    ["--bpf", flags.bpf],
    ["--legacy-devices", flags.legacyDevices],
    ["--snapshot", flags.snapshot],
    ["--snapshot-at", flags.snapshotAt],
  ] as const)
    if (value !== undefined) throw new UsageError(`${flag} does not go with a TD: nobody looks into it`);
  for (const [flag, given] of [
    ["--shim", flags.shim !== undefined],
    ["--no-secure-boot", flags.secureBoot === false],
  ] as const)
    if (given && flags.firmware === undefined) throw new UsageError(`${flag} is for firmware, which --firmware names`);
  // Firmware looks on the disks for what to boot, unless it is told.
  const fromDisk = flags.firmware !== undefined && flags.kernel === undefined && flags.disk !== undefined;
  if (fromDisk)
    for (const flag of ["exec", "append", "initrd", "shim"] as const)
      if (flags[flag] !== undefined)
        throw new UsageError(`--${flag} is for a kernel, which --kernel names: firmware boots what is on the disk`);
  const { timeout } = parseFlags(flags);
  const firmware = await withinTime({ began: performance.now(), timeout }, (signal) => firmwareOf(flags, signal));
  const td = tdx({ ...options, ...firmware });
  return boot(flags, [td, ...plugins], fromDisk ? null : "6.12");
}

async function firmwareOf({ firmware, shim, secureBoot }: TdBootFlags, signal: AbortSignal): Promise<TdxOptions> {
  if (firmware === undefined) return {};
  const read = (flag: string, path: string): Promise<Uint8Array> => readFile(flag, path, { most: MOST, signal });
  const image = await read("--firmware", firmware);
  unusable("--firmware", firmware, () => parseTdvf(image));
  return {
    firmware: image,
    ...(shim === undefined ? {} : { shim: await read("--shim", shim) }),
    ...(secureBoot === undefined ? {} : { secureBoot }),
  };
}

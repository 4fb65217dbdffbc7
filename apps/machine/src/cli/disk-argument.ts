import { existsSync } from "node:fs";
import type { Disk } from "../disk/disk.js";
import { DISK_FORMATS, type DiskFormat } from "../disk/format.js";
import { IMAGE_MODES, type ImageMode, type ImageOptions, openImage } from "../disk/node/open-image.js";
import { reason, UsageError } from "./errors.js";

export interface DiskArgument extends ImageOptions {
  readonly path: string;
}

const MODE = new RegExp(`:(${IMAGE_MODES.join("|")})$`);
const OPTION = /,(format|lock)=([^,:]*)$/;
const UNKNOWN_OPTION = /,([a-z-]+)=[^,]*$/;

/**
 * Reads a `--disk` argument: `FILE[:ro|:rw|:overlay][,format=raw|qcow2][,lock=on|off]`. Only what stands at the end and is one of
 * these is taken off; colons, commas and equals signs elsewhere are the file's, and a file whose name ends in such a word is given with another behind it.
 * @param usual mode if it does not say one
 * @throws {UsageError} for a value that is none
 */
export function parseDiskArgument(argument: string, usual: ImageMode = "rw"): DiskArgument {
  let path = argument;
  let mode: ImageMode | undefined;
  let format: DiskFormat | undefined;
  let lock: boolean | undefined;
  for (;;) {
    const option = OPTION.exec(path);
    const suffix = mode === undefined ? MODE.exec(path) : null;
    const [, name = "", value = ""] = option ?? [];
    if (suffix !== null) mode = suffix[1] as ImageMode;
    else if (option === null) break;
    else if (name === "format") format = oneOf(argument, name, value, format, DISK_FORMATS);
    else lock = oneOf(argument, name, value, lock === undefined ? undefined : "on", ["on", "off"]) === "on";
    path = path.slice(0, (suffix ?? option)?.index);
  }
  const unknown = existsSync(path) ? null : UNKNOWN_OPTION.exec(path);
  if (unknown !== null) throw new UsageError(`--disk ${argument}: ${unknown[1]} is no option: expected format or lock`);
  return { path, format, mode: mode ?? usual, lock: lock ?? true };
}

/** @throws {UsageError} if the value is none of those accepted, or there was one already */
function oneOf<T extends string>(
  argument: string,
  name: string,
  value: string,
  before: T | undefined,
  accepted: readonly T[],
): T {
  if (before !== undefined) throw new UsageError(`--disk ${argument}: ${name} is given twice`);
  const found = accepted.find((word) => word === value);
  if (found === undefined)
    throw new UsageError(`--disk ${argument}: ${name}=${value}: expected ${accepted.join(" or ")}`);
  return found;
}

/** Opens what a `--disk` argument names. @throws {UsageError} if that cannot be used */
export async function openDisk(argument: string, usual?: ImageMode): Promise<Disk> {
  const { path, ...options } = parseDiskArgument(argument, usual);
  try {
    return await openImage(path, options);
  } catch (error) {
    const forbidden = ["EACCES", "EPERM", "EROFS"].includes((error as NodeJS.ErrnoException).code ?? "");
    const hint = forbidden && options.mode === "rw" ? ` (read-only: --disk ${path}:ro)` : "";
    throw new UsageError(`--disk ${path}: ${reason(error)}${hint}`);
  }
}

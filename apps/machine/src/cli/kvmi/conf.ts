import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { GuestReader, isLibvmiName, isLibvmiPath, libvmiEntry, systemMap } from "@vm/kvmi";
import { reason, UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printable } from "../printable.js";
import { linux, type ToolFlags, withMachine } from "./tool.js";

export interface ConfFlags extends ToolFlags {
  readonly sysmap: string;
  readonly name?: string;
}

/** `vm kvmi conf`: prints LibVMI's configuration of a running Linux guest, and writes its symbols. @throws {UsageError} */
export function conf(flags: ConfFlags): Promise<number> {
  const sysmap = resolve(flags.sysmap);
  if (!isLibvmiPath(sysmap))
    throw new UsageError(`--sysmap ${sysmap}: LibVMI reads paths of letters, digits and / . _ @ - only`);
  if (flags.name !== undefined) checkName(flags.name, "--name");
  return withMachine(flags, async (client, stop) => {
    const name = flags.name ?? client.identity.name;
    checkName(name, "--name is needed for a machine that calls itself");
    const kernel = await linux(client, stop);
    const entry = await libvmiEntry(kernel, new GuestReader(client), { name, sysmap });
    await writeFile(sysmap, systemMap(kernel)).catch((error: unknown) => {
      throw new UsageError(`--sysmap ${sysmap}: ${reason(error)}`);
    });
    process.stdout.write(entry);
    return ExitCode.Ok;
  });
}

/** @throws {UsageError} */
function checkName(name: string, what: string): void {
  if (!isLibvmiName(name))
    throw new UsageError(`${what} "${printable(name)}": LibVMI reads two or more letters, digits and . _ - as a name`);
}

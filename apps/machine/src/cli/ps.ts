import { GuestReader, processes, whilePaused } from "@vm/kvmi";
import { ExitCode } from "./exit-code.js";
import { linux, type ToolFlags, waitFor, withMachine } from "./kvmi/tool.js";
import { printableJson } from "./printable.js";
import { listing } from "./process-listing.js";

export interface PsFlags extends ToolFlags {
  readonly json?: true;
}

/** `vm ps`: the processes of a Linux guest, read out of its memory. @throws {UsageError} */
export function ps(flags: PsFlags): Promise<number> {
  return withMachine(flags, async (client, stop) => {
    const kernel = await linux(client, stop);
    const list = await waitFor(async () => {
      const found = await whilePaused(client, () => processes(kernel, new GuestReader(client)));
      // Until the first process runs a program, the kernel is still starting.
      return found.some(({ pid, commandLine }) => pid === 1 && commandLine !== "") ? found : null;
    }, stop);
    process.stdout.write(flags.json ? `${printableJson(JSON.stringify(list, null, 2))}\n` : listing(list));
    return ExitCode.Ok;
  });
}

import { type KernelImage, readKernel } from "./boot/kernel.js";
import { checkDisks, wantsOldPc } from "./boot/old-pc.js";
import { withAgent } from "./exec/agent-archive.js";
import { type MachineConfig, type MachineOptions, resolveOptions } from "./options.js";
import { Pace } from "./pace.js";

/** Options of a machine that boots a kernel, and what they come to. */
export interface MachineParts {
  readonly config: MachineConfig;
  readonly options: MachineOptions;
  /** Null: the built-in guest. */
  readonly kernel: KernelImage | null;
  /** With the agent if there is to be one. */
  readonly initrd: Uint8Array | null;
  readonly pace: Pace;
}

/**
 * Checks options and reads the kernel.
 * @throws {MachineError} for an option outside its range, {@link KernelError} for a kernel that cannot be used, {@link BootError} if
 * kernel, disks and command line do not go together, the reason of `signal`
 */
export async function readParts(options: MachineOptions): Promise<MachineParts> {
  const resolved = resolveOptions(options);
  const { commandLine, ram, unpack } = resolved;
  const pace = new Pace(options.signal);
  const kernel = options.kernel === undefined ? null : await readKernel(options.kernel, { unpack, ram, pace });
  if (kernel !== null) checkDisks(resolved.disks.length, commandLine);
  const legacyDevices = options.legacyDevices ?? (kernel !== null && wantsOldPc(kernel, commandLine));
  const initrd = options.agent === true ? withAgent(options.initrd) : (options.initrd ?? null);
  return { config: { ...resolved, legacyDevices }, options, kernel, initrd, pace };
}

import { measureTdImage, type TdImage } from "@vm/tdx";
import type { Board } from "./board/board.js";
import type { KernelImage } from "./boot/kernel.js";
import { MachineError } from "./error.js";
import { type MachineOptions, pluginsOf } from "./options.js";
import { type MachineParts, readParts } from "./parts.js";
import { allocateRam } from "./ram.js";
import { tdLinuxImage } from "./td/linux.js";
import { isTdx } from "./td/plugin.js";
import { VirtualMachine } from "./virtual-machine.js";

/** Parts that a TD can be made of. */
export type TdParts = MachineParts & { readonly kernel: KernelImage };

/** @throws {MachineError} `option` for what a TD cannot have, or lacks */
export function checkTdParts(parts: MachineParts): asserts parts is TdParts {
  const { kernel, options } = parts;
  if (kernel === null) throw new MachineError("option", "a TD needs a kernel: the built-in guest knows nothing of TDX");
  for (const name of ["legacyDevices", "kvmClock", "testDevices"] as const)
    if (options[name] !== undefined && options[name] !== false)
      throw new MachineError("option", `${name} does not go with a TD`);
}

/**
 * What is added to a TD on `board`, and measured. Nothing can be attached to the board afterwards.
 * @throws {KernelError} if the kernel does not fit, or cannot be entered in 64-bit mode
 * @throws {BootError} if kernel, ram disk and command line do not go together
 */
export function tdImageOf(board: Board, { config, kernel, initrd }: TdParts): TdImage {
  return tdLinuxImage(board, { ...config, kernel, initrd });
}

/** What a TD would be measured to. */
export interface TdMeasurement {
  /** MRTD, 48 bytes. */
  readonly mrtd: Uint8Array;
  /** The pages that are added and measured, in that order. */
  readonly runs: TdImage["runs"];
}

/**
 * Measures the TD that `createMachine` would make of the same options, without making it. Options and plugins that change what the guest is told of its
 * machine, as processors, memory and disks, change the measurement.
 * @throws what `createMachine` throws
 * @example const { mrtd } = await measureTd({ kernel, initrd, commandLine: "quiet" });
 */
export async function measureTd(options: MachineOptions): Promise<TdMeasurement> {
  const parts: MachineParts = await readParts(options);
  checkTdParts(parts);
  const { config } = parts;
  // The tables that the guest is told by are the same on a machine that is no TD.
  const machine = new VirtualMachine(config, options, await allocateRam(config));
  let runs: TdImage["runs"] = [];
  const others = pluginsOf(options).filter((plugin) => !isTdx(plugin));
  await machine.equip(others, options.signal, async () => {
    runs = tdImageOf(machine.board, parts).runs;
  });
  await machine[Symbol.asyncDispose]();
  return { mrtd: await measureTdImage({ runs }, () => parts.pace.breathe()), runs };
}

import { LOADER_BASE, measureTdImage, type TdImage } from "@vm/tdx";
import type { Board } from "./board/board.js";
import { MachineError } from "./error.js";
import { type MachineOptions, pluginsOf } from "./options.js";
import { type MachineParts, readParts } from "./parts.js";
import { allocateRam } from "./ram.js";
import { firmwareStart, hasFirmware } from "./td/firmware.js";
import { tdLinuxImage } from "./td/linux.js";
import { isTdx, type TdxOptions } from "./td/plugin.js";
import type { TdStart } from "./td/start.js";
import { VirtualMachine } from "./virtual-machine.js";

/**
 * Options of a machine that is a TD, and how it is started.
 * @throws {MachineError} `option` for what a TD cannot have, or lacks; what `readParts` throws
 */
export async function readTdParts(
  td: TdxOptions,
  options: MachineOptions,
): Promise<{ readonly parts: MachineParts; readonly start: TdStart }> {
  // Firmware has the kernel unpack itself, and looks for PCI.
  const parts = await readParts(hasFirmware(td) ? { ...options, unpack: "guest", pci: true } : options);
  const { kernel, initrd, config } = parts;
  for (const name of ["legacyDevices", "kvmClock", "testDevices"] as const)
    if (options[name] !== undefined && options[name] !== false)
      throw new MachineError("option", `${name} does not go with a TD`);
  if (hasFirmware(td)) return { parts, start: firmwareStart(td, parts) };
  for (const name of ["shim", "secureBoot"] as const)
    if (td[name] !== undefined) throw new MachineError("option", `${name} is for firmware, and there is none`);
  if (kernel === null)
    throw new MachineError("option", "a TD needs a kernel or firmware: the built-in guest knows nothing of TDX");
  const image = (board: Board): TdImage => tdLinuxImage(board, { ...config, kernel, initrd });
  return { parts, start: { high: LOADER_BASE, firmware: false, image } };
}

/** What a TD would be measured to. */
export interface TdMeasurement {
  /** MRTD, 48 bytes. */
  readonly mrtd: Uint8Array;
  /** The pages that are added, in that order. */
  readonly runs: TdImage["runs"];
}

/**
 * Measures the TD that `createMachine` would make of the same options, without making it. Options and plugins that change what the guest is told of its
 * machine, as processors, memory and disks, change the measurement; not that of firmware, which is told while it runs.
 * @throws what `createMachine` throws
 * @example const { mrtd } = await measureTd({ kernel, initrd, commandLine: "quiet" });
 */
export async function measureTd(options: MachineOptions): Promise<TdMeasurement> {
  const plugins = pluginsOf(options);
  const { parts, start } = await readTdParts(plugins.find(isTdx)?.tdx ?? {}, options);
  const { config, pace } = parts;
  // The tables that the guest is told by are the same on a machine that is no TD, but for what is in shared memory.
  const machine = new VirtualMachine(
    { ...config, firmware: start.firmware, generationId: false },
    options,
    await allocateRam(config),
  );
  let runs: TdImage["runs"] = [];
  const others = plugins.filter((plugin) => !isTdx(plugin));
  await machine.equip(others, options.signal, async () => {
    runs = start.image(machine.board).runs;
  });
  await machine[Symbol.asyncDispose]();
  return { mrtd: await measureTdImage({ runs }, () => pace.breathe()), runs };
}

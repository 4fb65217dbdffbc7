import { acpiLoaderFiles, type FwCfg, FwCfgItem } from "@vm/devices";
import { type TdFirmware, type TdFirmwareDesc, TdHobError, TdImageError, TdvfError, tdFirmware } from "@vm/tdx";
import type { Board } from "../board/board.js";
import { isBzImage, SETUP_HEADER } from "../boot/setup-header.js";
import { MachineError } from "../error.js";
import type { MachineParts } from "../parts.js";
import type { TdxOptions } from "./plugin.js";
import type { TdStart } from "./start.js";

/** Options of a TD that firmware starts. */
export type Firmware = TdxOptions & { readonly firmware: Uint8Array };

export const hasFirmware = (options: TdxOptions): options is Firmware => options.firmware !== undefined;

/** The name of a shim's file in fw_cfg. */
const SHIM = "etc/boot/shim";
const SECTOR = 512;
/** Sectors of setup, if the image says 0. */
const SETUP_SECTORS = 4;

/**
 * A TD that firmware with TDVF metadata starts. It boots the kernel of the options, or else what it finds on a disk.
 * @throws {MachineError} `option` for an image that is not such firmware, and for a kernel that firmware cannot start
 */
export function firmwareStart({ firmware, shim, secureBoot }: Firmware, parts: MachineParts): TdStart {
  const { config, options, initrd } = parts;
  const { kernel } = options;
  for (const [name, bytes] of Object.entries({ firmware, shim }))
    if (bytes !== undefined && !(bytes instanceof Uint8Array))
      throw new MachineError("option", `${name} is the bytes of a file, a Uint8Array`);
  if (kernel !== undefined && !isBzImage(kernel))
    throw new MachineError("option", "firmware starts a bzImage, which an ELF kernel is not");
  if (kernel === undefined && shim !== undefined)
    throw new MachineError("option", "a shim starts a kernel, and there is none");
  const image = read({ image: firmware, ram: config.ram, variables: secureBoot !== false });
  return {
    high: image.base,
    firmware: true,
    image: (board) => {
      tell(board, { kernel, shim, initrd, commandLine: config.commandLine });
      return image;
    },
  };
}

function read(desc: TdFirmwareDesc): TdFirmware {
  try {
    return tdFirmware(desc);
  } catch (error) {
    if (error instanceof TdvfError || error instanceof TdImageError || error instanceof TdHobError)
      throw new MachineError("option", `firmware: ${error.message}`);
    throw error;
  }
}

interface Payload {
  readonly kernel: Uint8Array | undefined;
  readonly shim: Uint8Array | undefined;
  readonly initrd: Uint8Array | null;
  readonly commandLine: string;
}

/** What firmware asks fw_cfg for. */
function tell(board: Board, { kernel, shim, initrd, commandLine }: Payload): void {
  const fwCfg = board.fwCfg as FwCfg;
  const tables = acpiLoaderFiles({ bytes: board.seal({ base: 0 }), rsdp: 0 });
  for (const [name, bytes] of Object.entries(tables)) fwCfg.addFile(name, bytes);
  if (kernel === undefined) return;
  if (shim !== undefined) fwCfg.addFile(SHIM, shim);
  const setup = ((kernel[SETUP_HEADER] || SETUP_SECTORS) + 1) * SECTOR;
  const give = (size: number, data: number, bytes: Uint8Array): void => {
    fwCfg.setSize(size, bytes.length);
    fwCfg.set(data, bytes);
  };
  give(FwCfgItem.SetupSize, FwCfgItem.SetupData, kernel.subarray(0, setup));
  give(FwCfgItem.KernelSize, FwCfgItem.KernelData, kernel.subarray(setup));
  if (initrd !== null) give(FwCfgItem.InitrdSize, FwCfgItem.InitrdData, initrd);
  give(FwCfgItem.CommandLineSize, FwCfgItem.CommandLineData, new TextEncoder().encode(`${commandLine}\0`));
}

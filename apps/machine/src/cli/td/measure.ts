import { type FirmwareMeasurement, measureFirmware, PAGE, type Passes, TdvfError } from "@vm/tdx";
import { isElf } from "../../boot/elf.js";
import { isBzImage } from "../../boot/setup-header.js";
import { withAgentAsInit } from "../../exec/exec-plan.js";
import {
  BootError,
  KernelError,
  MachineError,
  MemoryDisk,
  measureTd,
  type TdMeasurement,
  tdx,
  withAgent,
} from "../../index.js";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { parseMemorySize } from "../memory-size.js";
import { IMAGE_MAX, readFile } from "../read-file.js";
import { unusable } from "./input.js";

export interface MeasureFlags {
  /** Of a firmware image. */
  readonly passes?: "1" | "2";
  /** All of these of a kernel. */
  readonly initrd?: string;
  readonly unpack?: "host" | "guest" | "auto";
  readonly append?: string;
  readonly memory?: string;
  readonly cpus?: string;
  readonly disks?: string;
  readonly agent?: true;
  readonly events?: true;
  readonly json?: true;
}

const OF_KERNEL = ["initrd", "unpack", "append", "memory", "cpus", "disks", "agent"] as const;
const MEMORY = "512M";
const SECTOR = 512;

/** `vm td measure`: MRTD of the TD that is built of a firmware image or a kernel. @throws {UsageError} */
export async function measure(path: string, flags: MeasureFlags): Promise<number> {
  const image = await read("", path, IMAGE_MAX);
  const told = isElf(image) || isBzImage(image) ? await ofKernel(path, image, flags) : ofFirmware(path, image, flags);
  process.stdout.write(`${told.join("\n")}\n`);
  return ExitCode.Ok;
}

const read = (what: string, path: string, most: number): Promise<Uint8Array> =>
  readFile(what, path, { most, signal: new AbortController().signal });

function ofFirmware(path: string, image: Uint8Array, flags: MeasureFlags): string[] {
  const measurement = unusable("", path, () => measured(image, Number(flags.passes ?? 1) as Passes));
  const other = OF_KERNEL.find((name) => flags[name] !== undefined);
  if (other !== undefined)
    throw new UsageError(`--${other}: ${path} is a firmware image, whose MRTD depends on nothing else`);
  if (flags.json) return [JSON.stringify(firmwareJson(measurement), null, 2)];
  return [hex(measurement.mrtd), ...(flags.events ? measurement.sections.map(line) : [])];
}

function measured(image: Uint8Array, passes: Passes): FirmwareMeasurement {
  try {
    return measureFirmware(image, passes);
  } catch (error) {
    if (!(error instanceof TdvfError) || error.code !== "no-metadata") throw error;
    throw new TdvfError(error.code, `${error.message}; nor is it a kernel, a bzImage or an ELF file`);
  }
}

async function ofKernel(path: string, kernel: Uint8Array, flags: MeasureFlags): Promise<string[]> {
  if (flags.passes !== undefined)
    throw new UsageError(`--passes: ${path} is a kernel, of which each page is added and measured before the next`);
  const memory = parseMemorySize(flags.memory ?? MEMORY);
  const size = { memory, cpus: count("--cpus", flags.cpus ?? "1"), disks: count("--disks", flags.disks ?? "0") };
  const initrd = flags.initrd === undefined ? undefined : await read("--initrd", flags.initrd, memory);
  const append = flags.append ?? "";
  // As a session of `vm td boot` makes them of the user's, byte for byte.
  const payload = flags.agent
    ? { initrd: withAgent(initrd), commandLine: withAgentAsInit(append).trim() }
    : { initrd, commandLine: append.trim() };
  const measurement = await measureTd({
    ...{ ...size, kernel, ...payload, unpack: flags.unpack, plugins: [tdx()] },
    // What is on them is not measured.
    disks: Array.from({ length: size.disks }, () => new MemoryDisk(SECTOR)),
  }).catch((error: unknown) => {
    if (error instanceof KernelError) throw new UsageError(`${path}: ${error.message}`);
    if (error instanceof BootError || error instanceof MachineError) throw new UsageError(error.message);
    throw error;
  });
  if (flags.json) return [JSON.stringify({ ...kernelJson(measurement), ...size }, null, 2)];
  return [hex(measurement.mrtd), ...(flags.events ? measurement.runs.map(runLine) : [])];
}

function count(flag: string, text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new UsageError(`${flag} ${text}: not a number`);
  return Number(text);
}

function kernelJson({ mrtd, runs }: TdMeasurement) {
  return {
    mrtd: hex(mrtd),
    runs: runs.map(({ gpa, bytes }) => ({ gpa, pagesMeasured: bytes.length / PAGE })),
  };
}

function runLine({ gpa, bytes }: TdMeasurement["runs"][number]): string {
  return `${range(gpa, bytes.length).padEnd(26)} ${bytes.length / PAGE} pages added and measured`;
}

function firmwareJson({ mrtd, passes, sections }: FirmwareMeasurement) {
  return {
    mrtd: hex(mrtd),
    passes,
    sections: sections.map(({ section, added, extended }) => ({
      ...section,
      pagesAdded: added,
      pagesMeasured: extended,
    })),
  };
}

function line({ section, added, extended }: FirmwareMeasurement["sections"][number]): string {
  const { type, memoryAddress, memoryDataSize } = section;
  if (memoryDataSize === 0) return `${type.padEnd(12)} no memory`;
  return `${type.padEnd(12)} ${range(memoryAddress, memoryDataSize).padEnd(26)} ${added} pages added, ${extended} measured`;
}

const range = (start: number, size: number): string => `0x${start.toString(16)}-0x${(start + size).toString(16)}`;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

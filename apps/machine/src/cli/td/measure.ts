import { type FirmwareMeasurement, measureFirmware, type Passes, TdvfError } from "@vm/tdx";
import { ExitCode } from "../exit-code.js";
import { parsed } from "./input.js";

export interface MeasureFlags {
  readonly passes: "1" | "2";
  readonly events?: true;
  readonly json?: true;
}

/** Bytes of the longest firmware image. */
const FIRMWARE_MAX = 2 ** 28;
/** "HdrS", at its offset in a bzImage; an ELF file's first bytes. */
const BZIMAGE = { offset: 0x202, magic: "HdrS" };
const ELF = { offset: 0, magic: "\x7fELF" };

/** `vm td measure`: MRTD of a firmware image. @throws {UsageError} */
export async function measure(path: string, flags: MeasureFlags): Promise<number> {
  const measurement = await parsed("", path, FIRMWARE_MAX, (image) => measured(image, Number(flags.passes) as Passes));
  const lines = flags.json
    ? [JSON.stringify(toJson(measurement), null, 2)]
    : [hex(measurement.mrtd), ...(flags.events ? measurement.sections.map(line) : [])];
  process.stdout.write(`${lines.join("\n")}\n`);
  return ExitCode.Ok;
}

function measured(image: Uint8Array, passes: Passes): FirmwareMeasurement {
  for (const { offset, magic } of [BZIMAGE, ELF]) {
    if (Buffer.from(image.subarray(offset, offset + magic.length)).toString("latin1") !== magic) continue;
    const accepted =
      "what can be measured is a firmware image with TDVF metadata, as OVMF.inteltdx.ms.fd of Debian's ovmf-inteltdx";
    throw new TdvfError("no-metadata", `it is a kernel or a program; ${accepted}`);
  }
  return measureFirmware(image, passes);
}

function toJson({ mrtd, passes, sections }: FirmwareMeasurement) {
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
  const range = `0x${memoryAddress.toString(16)}-0x${(memoryAddress + memoryDataSize).toString(16)}`;
  return `${type.padEnd(12)} ${range.padEnd(26)} ${added} pages added, ${extended} measured`;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

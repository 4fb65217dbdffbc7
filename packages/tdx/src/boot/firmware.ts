import { PAGE } from "../measure/mrtd.js";
import { tdResources, writeTdHob } from "../measure/td-hob.js";
import { parseTdvf } from "../measure/tdvf.js";
import { SECTION_MR_EXTEND, SECTION_PAGE_AUG, type TdvfSection } from "../measure/tdvf-section.js";
import { TdImageError } from "./errors.js";
import type { PageRun, TdImage } from "./image.js";
import { withoutVariables } from "./variables.js";

/** A TD that firmware starts. */
export interface TdFirmware extends TdImage {
  /** Guest-physical address of the first page that is the firmware's and not RAM: it has all from there to 4 GiB. */
  readonly base: number;
}

const END = 2 ** 32;
/** Bytes at the end of the first 4 GiB that firmware may have. */
const ROOM = 16 * 2 ** 20;
/** Bytes that are added at most: several times what firmware has. */
const ADDED_MAX = 64 * 2 ** 20;

export interface TdFirmwareDesc {
  readonly image: Uint8Array;
  /** Guest-physical memory from 0, bytes, a multiple of 4096, below the firmware. */
  readonly ram: number;
  /** With its variables, and among them Secure Boot's keys. Default true. */
  readonly variables?: boolean;
}

/**
 * A TD that firmware with TDVF metadata starts (OVMF for TDX, TD-Shim), in the order in which its sections are added.
 * @throws {TdvfError} for an image that is no such firmware
 * @throws {TdHobError} if the list of memory does not fit its section
 * @throws {TdImageError} `range` if a section lies where there is no memory, or wants to be filled by somebody else than the list of memory, if no
 * section has the last page below 4 GiB, where every vCPU starts, or if there are no variables to be erased; `too-many` for more than 64 MiB
 */
export function tdFirmware(desc: TdFirmwareDesc): TdFirmware {
  const { image, ram, variables = true } = desc;
  if (!Number.isInteger(ram / PAGE) || ram <= 0 || ram > END - ROOM)
    throw new TdImageError("range", `${ram} bytes of memory: expected pages below the last 16 MiB of 4 GiB`);
  const { sections } = parseTdvf(image);
  const inMemory = sections.filter(({ memoryDataSize }) => memoryDataSize > 0);
  for (const section of inMemory) checkPlace(section, ram);
  const added = inMemory.filter(({ attributes }) => (attributes & SECTION_PAGE_AUG) === 0);
  const bytes = added.reduce((sum, { memoryDataSize }) => sum + memoryDataSize, 0);
  if (bytes > ADDED_MAX)
    throw new TdImageError("too-many", `the firmware wants ${bytes} bytes added: up to ${ADDED_MAX} are possible`);
  if (!added.some(({ memoryAddress, memoryDataSize }) => memoryAddress + memoryDataSize === END))
    throw new TdImageError("range", "no section has the last page below 4 GiB, where every vCPU starts");
  if (!variables && !sections.some(({ type }) => type === "CFV"))
    throw new TdImageError("range", "the firmware has no variables that could be erased");
  const base = Math.min(...inMemory.map(({ memoryAddress }) => memoryAddress).filter((gpa) => gpa >= ram));
  const hob = sections.find(({ type }) => type === "TD_HOB");
  const runs = added.map((section) => runOf(section, desc, sections));
  return { base, runs, argument: hob?.memoryAddress ?? 0 };
}

function checkPlace({ type, memoryAddress: gpa, memoryDataSize }: TdvfSection, ram: number): void {
  const end = gpa + memoryDataSize;
  if (end > ram && (gpa < END - ROOM || end > END))
    throw new TdImageError(
      "range",
      `section ${type} at 0x${gpa.toString(16)} is neither within ${ram} bytes of memory nor the last 16 MiB below 4 GiB`,
    );
}

function runOf(section: TdvfSection, desc: TdFirmwareDesc, sections: readonly TdvfSection[]): PageRun {
  const { image, ram, variables = true } = desc;
  const { type, memoryAddress: gpa, memoryDataSize, dataOffset, rawDataSize, attributes } = section;
  if ((type === "Payload" || type === "PayloadParam") && rawDataSize === 0)
    throw new TdImageError("range", `section ${type} wants a payload of the host's, and there is none`);
  const bytes = new Uint8Array(memoryDataSize);
  const content = image.subarray(dataOffset, dataOffset + rawDataSize);
  if (type === "TD_HOB") bytes.set(writeTdHob(gpa, memoryDataSize, tdResources([{ start: 0, length: ram }], sections)));
  else bytes.set(type === "CFV" && !variables ? withoutVariables(content) : content);
  return { gpa, bytes, measured: (attributes & SECTION_MR_EXTEND) !== 0 };
}

import { EXTEND_CHUNK, Mrtd, PAGE } from "./mrtd.js";
import { parseTdvf } from "./tdvf.js";
import { TdvfError } from "./tdvf-errors.js";
import { SECTION_MR_EXTEND, SECTION_PAGE_AUG, type TdvfSection } from "./tdvf-section.js";

/**
 * In which order the pages of a section are measured: 1, each is added and measured before the next (Linux since 6.16); 2, all are added
 * and then all are measured (older kernels that distributions had).
 */
export type Passes = 1 | 2;

/** What a firmware image is measured to. */
export interface FirmwareMeasurement {
  /** MRTD, 48 bytes. */
  readonly mrtd: Uint8Array;
  readonly passes: Passes;
  /** What it consists of, in the order in which it is measured. */
  readonly sections: readonly MeasuredSection[];
}

/** A section, and what of it is measured. */
export interface MeasuredSection {
  readonly section: TdvfSection;
  /** Pages that are added: their addresses count. */
  readonly added: number;
  /** Pages whose content counts too. */
  readonly extended: number;
}

/** Pages that are added at most: 1 GiB of them. */
const ADDED_MAX = 2 ** 18;
/** Pages that are measured at most: 64 MiB, several times what firmware has. It is done in one go. */
const EXTENDED_MAX = 2 ** 14;

/**
 * Measures a firmware image as a host does that builds a TD of it.
 *
 * @throws {TdvfError} for an image that is not firmware for TDX, or whose measurement depends on more than itself
 * @example
 * const { mrtd } = measureFirmware(await readFile("OVMF.inteltdx.fd"));
 */
export function measureFirmware(image: Uint8Array, passes: Passes = 1): FirmwareMeasurement {
  const sections = parseTdvf(image).sections.map(measured);
  checkWork(
    "added",
    sections.reduce((sum, { added }) => sum + added, 0),
    ADDED_MAX,
  );
  checkWork(
    "measured",
    sections.reduce((sum, { extended }) => sum + extended, 0),
    EXTENDED_MAX,
  );
  const mrtd = new Mrtd();
  for (const { section, added, extended } of sections) {
    const content = image.subarray(section.dataOffset, section.dataOffset + section.rawDataSize);
    for (let k = 0; k < added; k++) {
      mrtd.pageAdd(section.memoryAddress + k * PAGE);
      if (passes === 1 && k < extended) extendPage(mrtd, section.memoryAddress, content, k * PAGE);
    }
    if (passes === 2) {
      for (let k = 0; k < extended; k++) extendPage(mrtd, section.memoryAddress, content, k * PAGE);
    }
  }
  return { mrtd: mrtd.digest(), passes, sections };
}

function checkWork(what: string, pages: number, most: number): void {
  if (pages > most) throw new TdvfError("memory-range", `${pages} pages are ${what}; up to ${most} are possible`);
}

function measured(section: TdvfSection): MeasuredSection {
  const { attributes, type, memoryDataSize, rawDataSize } = section;
  const pages = memoryDataSize / PAGE;
  const extended = (attributes & SECTION_MR_EXTEND) === 0 ? 0 : pages;
  const hosts = type === "TD_HOB" || ((type === "Payload" || type === "PayloadParam") && rawDataSize === 0);
  if (extended > 0 && hosts) {
    const why = "what is in it is the host's, so the image alone does not say what MRTD will be";
    throw new TdvfError("unmeasurable", `a section of type ${type} is measured; ${why}`);
  }
  return { section, added: (attributes & SECTION_PAGE_AUG) === 0 ? pages : 0, extended };
}

function extendPage(mrtd: Mrtd, gpa: number, content: Uint8Array, page: number): void {
  for (let at = page; at < page + PAGE; at += EXTEND_CHUNK) {
    const chunk = new Uint8Array(EXTEND_CHUNK);
    chunk.set(content.subarray(at, at + EXTEND_CHUNK));
    mrtd.extend(gpa + at, chunk);
  }
}

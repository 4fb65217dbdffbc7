import { Struct, u32, u64 } from "../bytes/struct.js";
import { PAGE } from "./mrtd.js";
import { TdvfError, type TdvfErrorCode } from "./tdvf-errors.js";

/** Attribute of a section: what is in its pages is measured with TDH.MR.EXTEND. */
export const SECTION_MR_EXTEND = 1;
/** Attribute of a section: its pages are not added, but given to the TD later with TDH.MEM.PAGE.AUG. */
export const SECTION_PAGE_AUG = 2;

/** What is in a section's memory when the TD starts. */
type Content =
  /** Bytes of the image. */
  | "image"
  /** Zeros. */
  | "zero"
  /** What the host puts there: a list of the memory, a kernel. */
  | "host"
  /** Bytes of the image if there are any, else the host's. */
  | "image-or-host"
  /** It has no memory: bytes of the image that describe it. */
  | "no-memory";

interface SectionType {
  readonly name: string;
  readonly content: Content;
  /** How many there may be. */
  readonly most: number;
}

/** Types of sections by number. Source: TDX Virtual Firmware Design Guide, table "TDVF_SECTION Type"; TD-Shim specification. */
export const SECTION_TYPES = [
  { name: "BFV", content: "image", most: Infinity },
  { name: "CFV", content: "image", most: Infinity },
  { name: "TD_HOB", content: "host", most: 1 },
  { name: "TempMem", content: "zero", most: Infinity },
  { name: "PermMem", content: "zero", most: Infinity },
  { name: "Payload", content: "image-or-host", most: 1 },
  { name: "PayloadParam", content: "image-or-host", most: 1 },
  { name: "TdInfo", content: "no-memory", most: 1 },
  { name: "TdParams", content: "no-memory", most: 1 },
] as const satisfies readonly SectionType[];
/** The name of a type of section. */
export type SectionName = (typeof SECTION_TYPES)[number]["name"];

/** A section of a firmware image: bytes of it and where they go in the TD's memory. */
export interface TdvfSection {
  readonly type: SectionName;
  /** Of the section's bytes, from the start of the image. */
  readonly dataOffset: number;
  /** Bytes in the image, 0 for none. The rest of the memory is zero, or the host's. */
  readonly rawDataSize: number;
  /** Guest-physical, aligned to a page. */
  readonly memoryAddress: number;
  /** Bytes, whole pages; 0 for sections that describe the image. */
  readonly memoryDataSize: number;
  /** {@link SECTION_MR_EXTEND}, {@link SECTION_PAGE_AUG} or 0. */
  readonly attributes: number;
}

/** Layout of a section's entry in the metadata, 32 bytes. */
export const SECTION_ENTRY = new Struct({
  dataOffset: u32,
  rawDataSize: u32,
  memoryAddress: u64,
  memoryDataSize: u64,
  type: u32,
  attributes: u32,
});

/**
 * Reads the entry of one section.
 *
 * @param index of the section, for messages
 * @throws {TdvfError} if its type, attributes, memory and bytes do not go together
 */
export function readSection(image: Uint8Array, at: number, index: number): TdvfSection {
  const entry = SECTION_ENTRY.read(image, at);
  const known: SectionType | undefined = SECTION_TYPES[entry.type];
  const refuse = (code: TdvfErrorCode, problem: string): never => {
    throw new TdvfError(code, `section ${index} (${known?.name ?? `type ${entry.type}`}): ${problem}`);
  };
  if (known === undefined) return refuse("section-type", "unknown type; 0 (BFV) to 8 (TdParams) are defined");
  const { dataOffset, rawDataSize, memoryAddress, memoryDataSize, attributes } = entry;
  if (rawDataSize > 0 && dataOffset + rawDataSize > image.length)
    refuse(
      "file-range",
      `bytes ${hex(dataOffset)} to ${hex(dataOffset + rawDataSize)}; the image has ${hex(image.length)}`,
    );
  if (memoryAddress >= 2n ** 52n || memoryAddress + memoryDataSize > 2n ** 52n)
    refuse("memory-range", `memory ${hex(memoryAddress)} + ${hex(memoryDataSize)}; it has to end below 2^52`);
  if (memoryAddress % BigInt(PAGE) !== 0n || memoryDataSize % BigInt(PAGE) !== 0n)
    refuse("alignment", `memory ${hex(memoryAddress)} + ${hex(memoryDataSize)}; both have to be multiples of 4096`);
  if (rawDataSize === 0 && dataOffset !== 0)
    refuse("file-range", `no bytes at ${hex(dataOffset)}; without bytes it has to be 0`);
  checkContent(known.content, entry, refuse);
  checkAttributes(attributes, rawDataSize, known.content, refuse);
  return {
    type: known.name as SectionName,
    dataOffset,
    rawDataSize,
    memoryAddress: Number(memoryAddress),
    memoryDataSize: Number(memoryDataSize),
    attributes,
  };
}

type Refuse = (code: TdvfErrorCode, problem: string) => void;

function checkContent(content: Content, entry: ReturnType<typeof SECTION_ENTRY.read>, refuse: Refuse): void {
  const { rawDataSize: raw, memoryDataSize: memory, memoryAddress } = entry;
  if (content === "no-memory") {
    if (memory > 0n || memoryAddress > 0n)
      refuse("memory-range", `memory ${hex(memoryAddress)} + ${hex(memory)}; it has none`);
  } else if (memory < raw) {
    refuse("memory-range", `${hex(raw)} bytes for ${hex(memory)} bytes of memory; they have to fit`);
  }
  if ((content === "image" || content === "no-memory") && raw === 0)
    refuse("content", "no bytes in the image; it has to have some");
  if ((content === "zero" || content === "host") && raw > 0)
    refuse("content", `${hex(raw)} bytes in the image; it may have none`);
}

function checkAttributes(attributes: number, raw: number, content: Content, refuse: Refuse): void {
  const wrong = (accepted: string) => refuse("attributes", `attributes ${hex(attributes)}; ${accepted}`);
  if (attributes > SECTION_PAGE_AUG)
    wrong("0, 1 (MR.EXTEND) or 2 (PAGE.AUG) are possible; a page that is not added cannot be measured");
  if (attributes !== 0 && content === "no-memory") wrong("it has no memory, so they have to be 0");
  if (attributes === SECTION_PAGE_AUG && (raw > 0 || content === "host"))
    wrong("pages that are not added have no content, so this may be 0 or 1");
}

/** A number in hexadecimal, for messages. */
const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

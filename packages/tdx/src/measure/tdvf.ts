import { bytesToHex } from "@noble/hashes/utils.js";
import { Struct, u16, u32 } from "../bytes/struct.js";
import { TdvfError } from "./tdvf-errors.js";
import { readSection, SECTION_ENTRY, SECTION_TYPES, type TdvfSection } from "./tdvf-section.js";

/** What a firmware image says about how a TD is made of it. */
export interface TdvfMetadata {
  /** Of the descriptor, from the start of the image. */
  readonly offset: number;
  /** In the order of the image, which is that in which their pages are added and measured. */
  readonly sections: readonly TdvfSection[];
}

/** Bytes of the longest image: what fits between the devices and 4 GiB. */
const IMAGE_MAX = 2 ** 28;
/** How many sections may be. Real firmware has about ten. */
const SECTIONS_MAX = 1024;

/** 96b582de-1fb2-45f7-baea-a366c55a082d: ends a table of GUIDs, 48 bytes before the image does. */
const TABLE_FOOTER = "de82b596b21ff745baeaa366c55a082d";
/** e47a6535-984a-4798-865e-4685a7bf8ec2: the entry with the distance of the metadata from the end of the image. */
const METADATA_OFFSET = "35657ae44a989847865e4685a7bf8ec2";
/** Bytes behind the table. */
const BEHIND_TABLE = 32;
/** Where, from the end, images without a table have the offset of the metadata. */
const OLD_POINTER = 32;
const GUID = 16;
/** The length and the GUID that end an entry of the table. */
const ENTRY_END = 2 + GUID;

const DESCRIPTOR = new Struct({ signature: u32, length: u32, version: u32, sections: u32 });
/** "TDVF". */
const SIGNATURE = 0x46564454;

/**
 * Finds and reads the TDVF metadata of a firmware image (OVMF for TDX, TD-Shim).
 *
 * Source: TDX Virtual Firmware Design Guide, "TDVF descriptor"; QEMU and TD-Shim for where it is found.
 *
 * @throws {TdvfError} for an image without it, or one whose sections cannot be; nothing else
 */
export function parseTdvf(image: Uint8Array): TdvfMetadata {
  if (image.length < BEHIND_TABLE + ENTRY_END || image.length > IMAGE_MAX) {
    const accepted = `firmware has ${BEHIND_TABLE + ENTRY_END} bytes to 256 MiB`;
    throw new TdvfError("size", `${image.length} bytes; ${accepted}`);
  }
  const offset = findMetadata(image);
  if (offset < 0 || offset + DESCRIPTOR.size > image.length) {
    const accepted = `its 16 bytes have to be within the ${image.length} of the image`;
    throw new TdvfError("metadata-offset", `TDVF metadata at byte ${offset}; ${accepted}`);
  }
  const sections = readSections(image, offset);
  checkTogether(sections);
  return { offset, sections };
}

function findMetadata(image: Uint8Array): number {
  const table = image.length - BEHIND_TABLE;
  if (guidAt(image, table) === TABLE_FOOTER) {
    const distance = findEntry(image, table);
    if (distance !== undefined) return image.length - distance;
  }
  const old = u32.read(image, image.length - OLD_POINTER);
  if (old + 4 <= image.length && u32.read(image, old) === SIGNATURE) return old;
  const where = "by the table of GUIDs at its end, nor by the pointer 32 bytes before its end";
  throw new TdvfError("no-metadata", `the image has no TDVF metadata: it is not found ${where}`);
}

/** The 16 bytes before `end`. */
const guidAt = (image: Uint8Array, end: number): string => bytesToHex(image.subarray(end - GUID, end));

/** The metadata's distance from the end of the image, out of the table that ends at `end`. */
function findEntry(image: Uint8Array, end: number): number | undefined {
  const length = u16.read(image, end - ENTRY_END);
  const start = end - length;
  if (length < ENTRY_END || start < 0) {
    const accepted = `${ENTRY_END} to ${end} fit`;
    throw new TdvfError("table", `the table of GUIDs at the end has ${length} bytes; ${accepted}`);
  }
  let at = end - ENTRY_END;
  while (at > start) {
    const size = at - start < ENTRY_END ? 0 : u16.read(image, at - ENTRY_END);
    if (size < ENTRY_END || size > at - start) {
      const accepted = `${ENTRY_END} to ${at - start} are possible`;
      throw new TdvfError("table", `an entry of ${size} bytes ends at byte ${at}; ${accepted}`);
    }
    if (guidAt(image, at) === METADATA_OFFSET) {
      if (size === ENTRY_END + 4) return u32.read(image, at - size);
      const accepted = "an offset of 4 has to be in it";
      throw new TdvfError("table", `the entry of the TDX metadata has ${size - ENTRY_END} bytes; ${accepted}`);
    }
    at -= size;
  }
  return undefined;
}

function readSections(image: Uint8Array, offset: number): TdvfSection[] {
  const { signature, length, version, sections: count } = DESCRIPTOR.read(image, offset);
  if (signature !== SIGNATURE) {
    const found = bytesToHex(image.subarray(offset, offset + 4));
    throw new TdvfError("signature", `the TDVF metadata at byte ${offset} starts with ${found}; 54445646 is "TDVF"`);
  }
  if (version !== 1) throw new TdvfError("version", `TDVF metadata of version ${version}; 1 is defined`);
  if (count < 1 || count > SECTIONS_MAX)
    throw new TdvfError("section-count", `${count} sections; 1 to ${SECTIONS_MAX} are possible`);
  const expected = DESCRIPTOR.size + count * SECTION_ENTRY.size;
  if (length !== expected)
    throw new TdvfError("length", `TDVF metadata of ${length} bytes; ${count} sections take ${expected}`);
  if (offset + length > image.length) {
    const accepted = `the image ends at ${image.length}`;
    throw new TdvfError("metadata-offset", `TDVF metadata at bytes ${offset} to ${offset + length}; ${accepted}`);
  }
  const first = offset + DESCRIPTOR.size;
  return Array.from({ length: count }, (_, k) => readSection(image, first + k * SECTION_ENTRY.size, k));
}

/** Checks what is not true of one section but of all together. */
function checkTogether(sections: readonly TdvfSection[]): void {
  for (const { name, most } of SECTION_TYPES) {
    const count = sections.filter(({ type }) => type === name).length;
    if (count > most) throw new TdvfError("duplicate", `${count} sections of type ${name}; ${most} is possible`);
    if (count === 0 && name === "BFV")
      throw new TdvfError("missing", "no section of type BFV; firmware has to have one");
  }
  const has = (name: TdvfSection["type"]) => sections.some(({ type }) => type === name);
  if (has("PayloadParam") && !has("Payload"))
    throw new TdvfError("missing", "a section of type PayloadParam, but none of type Payload; it needs one");
  checkDescriptions(sections);
  checkOverlaps(sections);
}

/** What describes the image has to be measured with it. */
function checkDescriptions(sections: readonly TdvfSection[]): void {
  const volumes = sections.filter(({ type }) => type === "BFV");
  for (const { type, dataOffset, rawDataSize } of sections) {
    if (type !== "TdInfo" && type !== "TdParams") continue;
    const end = dataOffset + rawDataSize;
    if (volumes.some((bfv) => dataOffset >= bfv.dataOffset && end <= bfv.dataOffset + bfv.rawDataSize)) continue;
    const range = `bytes 0x${dataOffset.toString(16)} to 0x${end.toString(16)}`;
    throw new TdvfError("file-range", `section of type ${type}: ${range}; they have to be within those of a BFV`);
  }
}

function checkOverlaps(sections: readonly TdvfSection[]): void {
  const byAddress = sections.filter(({ memoryDataSize }) => memoryDataSize > 0);
  byAddress.sort((a, b) => a.memoryAddress - b.memoryAddress);
  for (const [k, section] of byAddress.entries()) {
    const next = byAddress[k + 1];
    const end = section.memoryAddress + section.memoryDataSize;
    if (next === undefined || next.memoryAddress >= end) continue;
    const both = `${section.type} ends at 0x${end.toString(16)}, ${next.type} starts at 0x${next.memoryAddress.toString(16)}`;
    throw new TdvfError("overlap", `${both}; no page can be in two sections`);
  }
}

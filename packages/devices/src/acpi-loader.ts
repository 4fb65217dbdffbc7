import type { AcpiImage } from "./acpi.js";
import { ascii, HEADER, u32 } from "./acpi-table.js";

/** The names that firmware looks for. */
const RSDP_FILE = "etc/acpi/rsdp";
const TABLES_FILE = "etc/acpi/tables";
const LOADER_FILE = "etc/table-loader";

/** Tables as firmware takes them, by the names of its files. */
export type AcpiFiles = Readonly<Record<typeof RSDP_FILE | typeof TABLES_FILE | typeof LOADER_FILE, Uint8Array>>;

/** Commands of the loader (QEMU hw/acpi/bios-linker-loader.c), 128 bytes each. */
const COMMAND = 128;
const ALLOCATE = 1;
const ADD_POINTER = 2;
const ADD_CHECKSUM = 3;
const NAME = 56;
const ZONE_HIGH = 1;
const ZONE_FSEG = 2;
const PAGE = 4096;

const RSDP_SIZE = 36;
const RSDP_ALIGN = 16;
/** Offsets in the RSDP. */
const RSDP = { checksum: 8, firstBytes: 20, xsdt: 24, extendedChecksum: 32 } as const;
const TABLE_CHECKSUM = 9;
const TABLE_LENGTH = 4;
/** Pointers of the FADT, with their sizes: FIRMWARE_CTRL, DSDT, X_DSDT. A machine without a FACS has 0 for the first. */
const FADT_POINTERS = [
  [36, 4],
  [40, 4],
  [140, 8],
] as const;

/**
 * ACPI tables for firmware that chooses where they lie (QEMU docs/specs/fw_cfg.rst, "etc/table-loader"): the RSDP, the tables, and what to do with both.
 * @param image tables at base 0: its pointers are offsets
 */
export function acpiLoaderFiles(image: AcpiImage): AcpiFiles {
  const rsdp = image.bytes.slice(0, RSDP_SIZE);
  // They stay at their offsets, which is what their pointers say.
  const tables = image.bytes.slice();
  tables.fill(0, 0, RSDP_SIZE);
  const xsdt = offsetAt(rsdp, RSDP.xsdt, 8);
  const commands = [allocate(TABLES_FILE, PAGE, ZONE_HIGH), allocate(RSDP_FILE, RSDP_ALIGN, ZONE_FSEG)];
  const sum = (table: number): void => {
    tables[table + TABLE_CHECKSUM] = 0;
    commands.push(addChecksum(TABLES_FILE, table + TABLE_CHECKSUM, table, offsetAt(tables, table + TABLE_LENGTH, 4)));
  };
  for (let at = xsdt + HEADER; at < xsdt + offsetAt(tables, xsdt + TABLE_LENGTH, 4); at += 8) {
    commands.push(addPointer(TABLES_FILE, at, 8));
    const table = offsetAt(tables, at, 8);
    if (!isFadt(tables, table)) continue;
    for (const [pointer, size] of FADT_POINTERS)
      if (offsetAt(tables, table + pointer, size) !== 0) commands.push(addPointer(TABLES_FILE, table + pointer, size));
    sum(table);
  }
  sum(xsdt);
  commands.push(addPointer(RSDP_FILE, RSDP.xsdt, 8));
  rsdp[RSDP.checksum] = rsdp[RSDP.extendedChecksum] = 0;
  commands.push(addChecksum(RSDP_FILE, RSDP.checksum, 0, RSDP.firstBytes));
  commands.push(addChecksum(RSDP_FILE, RSDP.extendedChecksum, 0, RSDP_SIZE));
  return { [RSDP_FILE]: rsdp, [TABLES_FILE]: tables, [LOADER_FILE]: Uint8Array.from(commands.flat()) };
}

/** A little-endian offset of the image. */
function offsetAt(bytes: Uint8Array, at: number, size: 4 | 8): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(at, true) + (size === 8 ? view.getUint32(at + 4, true) * 2 ** 32 : 0);
}

const isFadt = (tables: Uint8Array, at: number): boolean =>
  ascii("FACP").every((letter, k) => tables[at + k] === letter);

const command = (...parts: readonly number[][]): number[] => {
  const bytes = parts.flat();
  return [...bytes, ...new Array<number>(COMMAND - bytes.length).fill(0)];
};
const file = (name: string): number[] => [...ascii(name), ...new Array<number>(NAME - name.length).fill(0)];

const allocate = (name: string, alignment: number, zone: number): number[] =>
  command(u32(ALLOCATE), file(name), u32(alignment), [zone]);

/** The `size` bytes at `offset` of a file are an offset in that of the tables, to which its address is added. */
const addPointer = (name: string, offset: number, size: number): number[] =>
  command(u32(ADD_POINTER), file(name), file(TABLES_FILE), u32(offset), [size]);

const addChecksum = (name: string, offset: number, start: number, length: number): number[] =>
  command(u32(ADD_CHECKSUM), file(name), u32(offset), u32(start), u32(length));

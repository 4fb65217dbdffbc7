import { type DsdtDesc, dsdtBody } from "./acpi-dsdt.js";

export interface AcpiDesc extends DsdtDesc {
  /** Guest-physical address at which the image will lie, a multiple of 16 below 4 GiB. */
  readonly base: number;
  /** (x2)APIC ID of every CPU, boot CPU first. IDs from 255 up are described as x2APICs. */
  readonly apicIds: readonly number[];
  readonly localApicAddress: number;
  readonly ioApic: { readonly id: number; readonly address: number; readonly gsiBase: number };
  readonly power: {
    readonly sleepControlPort: number;
    readonly sleepStatusPort: number;
    readonly resetPort: number;
    readonly resetValue: number;
  };
}

export interface AcpiImage {
  /** All tables, to be copied to the desc's `base`. */
  readonly bytes: Uint8Array;
  /** Guest-physical address of the RSDP: the first byte of the image. */
  readonly rsdp: number;
}

/** Thrown if the machine described cannot be expressed. */
export class AcpiError extends Error {
  override readonly name = "AcpiError";
}

const HEADER = 36;
const RSDP_SIZE = 36;
const FADT_SIZE = 276;
const OEM_ID = "VMTS  ";
const OEM_TABLE_ID = "VMMICRO ";
const CREATOR_ID = "VMTS";
const ALIGN = 16;

/** FADT flags: WBINVD, no fixed power or sleep button, RESET_REG_SUP, HW_REDUCED_ACPI (ACPI 6.5 table 5.10). */
const FADT_FLAGS = (1 << 0) | (1 << 4) | (1 << 5) | (1 << 10) | (1 << 20);
/** IAPC_BOOT_ARCH: VGA not present; no legacy devices, no 8042 (table 5.11). */
const BOOT_ARCH = 1 << 2;
const CMOS_CENTURY = 0x32;
const ALL_PROCESSORS_8 = 0xff;
const ALL_PROCESSORS_32 = 0xffffffff;

/**
 * The ACPI tables of the machine (ACPI 6.5 chapter 5): RSDP revision 2, XSDT, FADT (hardware-reduced), MADT, DSDT.
 *
 * MADT: a local APIC (or x2APIC) per CPU, one IO-APIC, LINT1 = NMI on all CPUs, PCAT_COMPAT clear (no 8259).
 * DSDT: see `dsdtBody`. There is no FACS, no HPET, no MCFG and no SSDT.
 * @throws {AcpiError} if `base` or an address does not fit its field, or there is no CPU.
 * @throws {AmlError} if a device of the DSDT cannot be encoded.
 */
export function buildAcpiTables(desc: AcpiDesc): AcpiImage {
  if (desc.base % ALIGN !== 0 || desc.base < 0 || desc.base >= 2 ** 32)
    throw new AcpiError(`ACPI base 0x${desc.base.toString(16)} is not a multiple of ${ALIGN} below 4 GiB`);
  if (desc.apicIds.length === 0) throw new AcpiError("a machine has at least one CPU; apicIds is empty");
  for (const [what, address] of [
    ["local APIC", desc.localApicAddress],
    ["IO-APIC", desc.ioApic.address],
  ] as const)
    if (address < 0 || address >= 2 ** 32) throw new AcpiError(`${what} address ${address} is not below 4 GiB`);
  const dsdt = table("DSDT", 2, Uint8Array.from(dsdtBody(desc)));
  const madt = table("APIC", 5, Uint8Array.from(madtBody(desc)));
  const xsdtSize = HEADER + 2 * 8;
  const xsdtAt = desc.base + align(RSDP_SIZE);
  const fadtAt = xsdtAt + align(xsdtSize);
  const madtAt = fadtAt + align(FADT_SIZE);
  const dsdtAt = madtAt + align(madt.length);
  const xsdt = table("XSDT", 1, Uint8Array.from([...u64(fadtAt), ...u64(madtAt)]));
  const parts: readonly (readonly [number, Uint8Array])[] = [
    [desc.base, rsdp(xsdtAt)],
    [xsdtAt, xsdt],
    [fadtAt, fadt(desc, dsdtAt)],
    [madtAt, madt],
    [dsdtAt, dsdt],
  ];
  const bytes = new Uint8Array(dsdtAt + dsdt.length - desc.base);
  for (const [at, part] of parts) bytes.set(part, at - desc.base);
  return { bytes, rsdp: desc.base };
}

const align = (size: number): number => Math.ceil(size / ALIGN) * ALIGN;
const ascii = (text: string): number[] => [...text].map((char) => char.charCodeAt(0));
const u16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
const u32 = (value: number): number[] => [...u16(value), ...u16(value >>> 16)];
const u64 = (value: number): number[] => [...u32(value), ...u32(Math.floor(value / 2 ** 32))];

/** The byte that makes the sum of all bytes 0 modulo 256. */
const checksum = (bytes: Uint8Array): number => -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;

/** A generic address structure for one byte-wide I/O port (5.2.3.2). */
const portAddress = (port: number): number[] => [1, 8, 0, 1, ...u64(port)];

/** A table with its header and checksum (5.2.6). */
function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + body.length);
  const oem = [...ascii(OEM_ID), ...ascii(OEM_TABLE_ID), ...u32(1), ...ascii(CREATOR_ID), ...u32(1)];
  bytes.set([...ascii(signature), ...u32(bytes.length), revision, 0, ...oem]);
  bytes.set(body, HEADER);
  bytes[9] = checksum(bytes);
  return bytes;
}

/** Root system description pointer, revision 2 (5.2.5.3): two checksums, no RSDT. */
function rsdp(xsdt: number): Uint8Array {
  const head = [...ascii("RSD PTR "), 0, ...ascii(OEM_ID), 2, ...u32(0)];
  const bytes = Uint8Array.from([...head, ...u32(RSDP_SIZE), ...u64(xsdt), 0, 0, 0, 0]);
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}

/** Fixed ACPI description table, 6.5 layout (5.2.9); everything a hardware-reduced machine lacks is 0. */
function fadt(desc: AcpiDesc, dsdt: number): Uint8Array {
  const body = new Uint8Array(FADT_SIZE - HEADER);
  const put = (offset: number, bytes: readonly number[]): void => body.set(bytes, offset - HEADER);
  put(40, u32(dsdt));
  put(108, [desc.rtcPort === undefined ? 0 : CMOS_CENTURY]);
  put(109, u16(desc.rtcPort === undefined ? BOOT_ARCH | (1 << 5) : BOOT_ARCH));
  put(112, u32(FADT_FLAGS));
  put(116, portAddress(desc.power.resetPort));
  put(128, [desc.power.resetValue]);
  put(131, [5]);
  put(140, u64(dsdt));
  put(244, portAddress(desc.power.sleepControlPort));
  put(256, portAddress(desc.power.sleepStatusPort));
  return table("FACP", 6, body);
}

/** Multiple APIC description table (5.2.12). */
function madtBody(desc: AcpiDesc): number[] {
  const small = desc.apicIds.flatMap((id, uid) => (id < 255 && uid < 255 ? [0, 8, uid, id, ...u32(1)] : []));
  const large = desc.apicIds.flatMap((id, uid) =>
    id < 255 && uid < 255 ? [] : [9, 16, 0, 0, ...u32(id), ...u32(1), ...u32(uid)],
  );
  const { id, address, gsiBase } = desc.ioApic;
  const ioApic = [1, 12, id, 0, ...u32(address), ...u32(gsiBase)];
  const nmi = [4, 6, ALL_PROCESSORS_8, 0, 0, 1];
  const largeNmi = large.length > 0 ? [10, 12, 0, 0, ...u32(ALL_PROCESSORS_32), 1, 0, 0, 0] : [];
  return [...u32(desc.localApicAddress), ...u32(0), ...small, ...large, ...ioApic, ...nmi, ...largeNmi];
}

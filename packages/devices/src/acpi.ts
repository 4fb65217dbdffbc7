import type { AcpiDesc } from "./acpi-desc.js";
import { dsdtBody } from "./acpi-dsdt.js";
import { FACS_SIZE, FADT_SIZE, facs, fadt } from "./acpi-fadt.js";
import { mcfg } from "./acpi-pci.js";
import { ascii, checksum, HEADER, OEM, table, u16, u32, u64 } from "./acpi-table.js";

export interface AcpiImage {
  /** All tables, to be copied to the desc's `base`. */
  readonly bytes: Uint8Array;
  /** Guest-physical address of the RSDP: the first byte of the image. */
  readonly rsdp: number;
}

/** What ACPI's tables cannot say: where they lie, that there is no processor, an address beyond 4 GiB. */
export type AcpiErrorCode = "base" | "no-cpu" | "address";

/** Thrown if the machine described cannot be expressed. */
export class AcpiError extends Error {
  override readonly name = "AcpiError";

  constructor(
    readonly code: AcpiErrorCode,
    message: string,
  ) {
    super(message);
  }
}

const RSDP_SIZE = 36;
const ALIGN = 16;
const FACS_ALIGN = 64;
/** Input of the I/O APIC that IRQ 0 is wired to. */
const TIMER_INPUT = 2;

/** MADT flags: a pair of 8259A is there (5.2.12, table 5.20). */
const PCAT_COMPAT = 1 << 0;
/** Polarity and trigger mode of an interrupt (table 5.26): as the bus has it, and active-high and level-triggered. */
const INTI = { bus: 0, highLevel: 0b1101 } as const;
const ALL_PROCESSORS_8 = 0xff;
const ALL_PROCESSORS_32 = 0xffffffff;

/**
 * The ACPI tables of the machine (ACPI 6.5 chapter 5): RSDP revision 2, XSDT, FADT, MADT, DSDT; with `pci`, MCFG.
 *
 * MADT: a local APIC (or x2APIC) per CPU, one IO-APIC, LINT1 = NMI on all CPUs, and the mailbox of `wakeupMailbox`.
 * DSDT: see `dsdtBody`. There is no HPET and no SSDT.
 * Without `fixedHardware` the machine is hardware-reduced and has no FACS. With it there are a FACS and an override that makes the SCI active-high and
 * level-triggered; with `legacyDevices`, PCAT_COMPAT and one that leads IRQ 0 to input 2 of the I/O APIC, as on every PC.
 * @throws {AcpiError} if `base` or an address does not fit its field, or there is no CPU.
 * @throws {AmlError} if a device of the DSDT cannot be encoded.
 */
export function buildAcpiTables(desc: AcpiDesc): AcpiImage {
  if (desc.base % ALIGN !== 0 || desc.base < 0 || desc.base >= 2 ** 32)
    throw new AcpiError("base", `ACPI base 0x${desc.base.toString(16)} is not a multiple of ${ALIGN} below 4 GiB`);
  if (desc.apicIds.length === 0) throw new AcpiError("no-cpu", "a machine has at least one CPU; apicIds is empty");
  for (const [what, address] of [
    ["local APIC", desc.localApicAddress],
    ["IO-APIC", desc.ioApic.address],
  ] as const)
    if (address < 0 || address >= 2 ** 32)
      throw new AcpiError("address", `${what} address ${address} is not below 4 GiB`);
  const dsdt = table("DSDT", 2, Uint8Array.from(dsdtBody(desc)));
  const madt = table("APIC", 5, Uint8Array.from(madtBody(desc)));
  const config = desc.pci === undefined ? null : mcfg(desc.pci);
  const xsdtSize = HEADER + (config === null ? 2 : 3) * 8;
  const xsdtAt = desc.base + align(RSDP_SIZE);
  const fadtAt = xsdtAt + align(xsdtSize);
  const madtAt = fadtAt + align(FADT_SIZE);
  const configAt = madtAt + align(madt.length);
  const dsdtAt = configAt + align(config?.length ?? 0);
  const facsAt = Math.ceil((dsdtAt + dsdt.length) / FACS_ALIGN) * FACS_ALIGN;
  const pointers = [fadtAt, madtAt, ...(config === null ? [] : [configAt])];
  const xsdt = table("XSDT", 1, Uint8Array.from(pointers.flatMap(u64)));
  const parts: readonly (readonly [number, Uint8Array])[] = [
    [desc.base, rsdp(xsdtAt)],
    [xsdtAt, xsdt],
    [fadtAt, fadt(desc, dsdtAt, facsAt)],
    [madtAt, madt],
    ...(config === null ? [] : [[configAt, config] as const]),
    [dsdtAt, dsdt],
    ...(desc.fixedHardware === undefined ? [] : [[facsAt, facs()] as const]),
  ];
  const end = desc.fixedHardware === undefined ? dsdtAt + dsdt.length : facsAt + FACS_SIZE;
  const bytes = new Uint8Array(end - desc.base);
  for (const [at, part] of parts) bytes.set(part, at - desc.base);
  return { bytes, rsdp: desc.base };
}

/** Root system description pointer, revision 2 (5.2.5.3): two checksums, no RSDT. */
function rsdp(xsdt: number): Uint8Array {
  const head = [...ascii("RSD PTR "), 0, ...ascii(OEM), 2, ...u32(0)];
  const bytes = Uint8Array.from([...head, ...u32(RSDP_SIZE), ...u64(xsdt), 0, 0, 0, 0]);
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}

const align = (size: number): number => Math.ceil(size / ALIGN) * ALIGN;

/** Multiple APIC description table (5.2.12). */
function madtBody(desc: AcpiDesc): number[] {
  const small = desc.apicIds.flatMap((id, uid) => (id < 255 && uid < 255 ? [0, 8, uid, id, ...u32(1)] : []));
  const large = desc.apicIds.flatMap((id, uid) =>
    id < 255 && uid < 255 ? [] : [9, 16, 0, 0, ...u32(id), ...u32(1), ...u32(uid)],
  );
  const { id, address, gsiBase } = desc.ioApic;
  const override = (irq: number, gsi: number, flags: number): number[] => [2, 10, 0, irq, ...u32(gsi), ...u16(flags)];
  const { fixedHardware: fixed, legacyDevices = false } = desc;
  const overrides = [
    ...(legacyDevices ? override(0, gsiBase + TIMER_INPUT, INTI.bus) : []),
    ...(fixed === undefined ? [] : override(fixed.sci, gsiBase + fixed.sci, INTI.highLevel)),
  ];
  const ioApic = [1, 12, id, 0, ...u32(address), ...u32(gsiBase)];
  const nmi = [4, 6, ALL_PROCESSORS_8, 0, 0, 1];
  const largeNmi = large.length > 0 ? [10, 12, 0, 0, ...u32(ALL_PROCESSORS_32), 1, 0, 0, 0] : [];
  // Multiprocessor wakeup (5.2.12.19).
  const mailbox = desc.wakeupMailbox;
  const wakeup = mailbox === undefined ? [] : [0x10, 16, ...u16(0), ...u32(0), ...u64(mailbox)];
  return [
    ...u32(desc.localApicAddress),
    ...u32(legacyDevices ? PCAT_COMPAT : 0),
    ...small,
    ...large,
    ...ioApic,
    ...overrides,
    ...nmi,
    ...largeNmi,
    ...wakeup,
  ];
}

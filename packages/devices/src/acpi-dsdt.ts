import { type AcpiGeneration, generationDevices } from "./acpi-generation.js";
import { type AcpiPci, pciDevices } from "./acpi-pci.js";
import {
  type Aml,
  AmlError,
  device,
  eisaId,
  integer,
  interrupt,
  ioPorts,
  memory32Fixed,
  name,
  packageOf,
  resourceTemplate,
  scope,
  string,
} from "./aml.js";

/** A 16550 (PNP0501): 8 ports and an edge-triggered interrupt. */
export interface AcpiUart {
  readonly port: number;
  readonly gsi: number;
}

/** A virtio-mmio window (LNRO0005) with a level-triggered, active-high, exclusive interrupt. */
export interface AcpiVirtio {
  /** Guest-physical address below 4 GiB. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  readonly gsi: number;
}

/** Any other device that an operating system finds by its name. */
export interface AcpiDevice {
  /** _HID: "PNP0501" and the like (ISA), or "LNRO0005" and the like (ACPI 6.5, 6.1.5). */
  readonly hid: string;
  /** Up to 255 ports each. */
  readonly ports?: readonly { readonly base: number; readonly count: number }[];
  /** Below 4 GiB. */
  readonly memory?: readonly { readonly base: number; readonly size: number }[];
  /** Active-high. */
  readonly interrupts?: readonly { readonly gsi: number; readonly trigger: "edge" | "level" }[];
}

export interface DsdtDesc {
  readonly uarts: readonly AcpiUart[];
  /** Index port of the real-time clock (PNP0B00); absent if the machine has none. */
  readonly rtcPort?: number;
  readonly virtio: readonly AcpiVirtio[];
  /** Absent if the machine has no PCI. */
  readonly pci?: AcpiPci;
  /** Absent if the machine has none. */
  readonly generation?: AcpiGeneration;
  /** Up to 256. */
  readonly devices?: readonly AcpiDevice[];
  /** SLP_TYP that the sleep control register takes as S5. */
  readonly s5Type: number;
}

const EISA_ID = /^[A-Z]{3}[0-9A-F]{4}$/;
const ACPI_ID = /^[A-Z][A-Z0-9]{3}[0-9A-F]{4}$/;

const numbered = (prefix: string, index: number, digits: number): string =>
  prefix + index.toString(16).toUpperCase().padStart(digits, "0");

/** The body of the DSDT (without its header): the devices no bus can enumerate, the host bridge of PCI, and \_S5. */
export function dsdtBody(desc: DsdtDesc): Aml {
  const rtc = desc.rtcPort;
  const devices = [
    ...desc.uarts.map(({ port, gsi }, i) =>
      deviceOf(numbered("COM", i + 1, 1), i + 1, {
        hid: "PNP0501",
        ports: [{ base: port, count: 8 }],
        interrupts: [{ gsi, trigger: "edge" }],
      }),
    ),
    ...(rtc === undefined ? [] : [deviceOf("RTC", null, { hid: "PNP0B00", ports: [{ base: rtc, count: 2 }] })]),
    ...desc.virtio.map(({ base, size, gsi }, i) =>
      deviceOf(numbered("VR", i, 2), i, {
        hid: "LNRO0005",
        memory: [{ base, size }],
        interrupts: [{ gsi, trigger: "level" }],
      }),
    ),
    ...(desc.devices ?? []).map((own, i) => deviceOf(numbered("PL", i, 2), i, own)),
    ...(desc.pci === undefined ? [] : pciDevices(desc.pci)),
    ...(desc.generation === undefined ? [] : generationDevices(desc.generation)),
  ];
  const s5 = packageOf(integer(desc.s5Type), integer(0), integer(0), integer(0));
  return [...scope("\\_SB", ...devices), ...name("\\_S5", s5)];
}

/** @throws {AmlError} for a name or an address that cannot be encoded */
function deviceOf(
  path: string,
  uid: number | null,
  { hid, ports = [], memory = [], interrupts = [] }: AcpiDevice,
): Aml {
  if (!EISA_ID.test(hid) && !ACPI_ID.test(hid))
    throw new AmlError(
      "hid",
      `_HID ${JSON.stringify(hid)} is neither three letters nor four with four hexadecimal digits`,
    );
  return device(
    path,
    name("_HID", EISA_ID.test(hid) ? eisaId(hid) : string(hid)),
    ...(uid === null ? [] : [name("_UID", integer(uid))]),
    name(
      "_CRS",
      resourceTemplate(
        ...memory.map(({ base, size }) => memory32Fixed(base, size)),
        ...ports.map(({ base, count }) => ioPorts(base, count)),
        ...interrupts.map(({ gsi, trigger }) => interrupt(gsi, trigger)),
      ),
    ),
  );
}

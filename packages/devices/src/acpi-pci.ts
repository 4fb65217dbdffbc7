import { table, u16, u32, u64 } from "./acpi-table.js";
import {
  type Aml,
  device,
  dwordMemory,
  eisaId,
  integer,
  ioPorts,
  memory32Fixed,
  method,
  name,
  packageOf,
  resourceTemplate,
  returnArgument,
  wordBusNumbers,
  wordIo,
} from "./aml.js";
import { PCI_PORT, PCI_PORTS } from "./pci/host.js";

/** A PCI Express host bridge with bus 0 behind it. */
export interface AcpiPci {
  /** Memory-mapped configuration space: 1 MiB for each bus from bus 0 on, below 4 GiB. Bytes. */
  readonly ecam: { readonly base: number; readonly size: number };
  /** Guest-physical addresses below 4 GiB that devices can decode, the last one not included. */
  readonly memory: readonly [number, number];
  /** Devices of bus 0 with an interrupt: their INTA is a global system interrupt, level-triggered. Up to 32. */
  readonly interrupts: readonly { readonly device: number; readonly gsi: number }[];
}

const BUS_BYTES = 2 ** 20;
const INTA = 0;

const busesOf = ({ ecam }: AcpiPci): number => ecam.size / BUS_BYTES;

/**
 * The devices of the DSDT: the host bridge (PNP0A08), which hands on ports and memory and says what interrupts its devices have (_PRT, ACPI 6.5, 6.2.13), and the motherboard's resources (PNP0C02), to which the memory-mapped configuration space belongs (PCI Firmware 3.3, 4.1.2).
 */
export function pciDevices(pci: AcpiPci): readonly Aml[] {
  const { ecam, memory, interrupts } = pci;
  const routes = interrupts.map(({ device: number, gsi }) =>
    packageOf(integer(number * 0x10000 + 0xffff), integer(INTA), integer(0), integer(gsi)),
  );
  return [
    device(
      "PCI0",
      name("_HID", eisaId("PNP0A08")),
      name("_CID", eisaId("PNP0A03")),
      name("_UID", integer(0)),
      name("_SEG", integer(0)),
      name("_BBN", integer(0)),
      name(
        "_CRS",
        resourceTemplate(
          wordBusNumbers(0, busesOf(pci) - 1),
          ioPorts(PCI_PORT, PCI_PORTS),
          wordIo(0, PCI_PORT - 1),
          wordIo(PCI_PORT + PCI_PORTS, 0xffff),
          dwordMemory(memory[0], memory[1] - 1),
        ),
      ),
      name("_PRT", packageOf(...routes)),
      // What the operating system asks for in the buffer of its fourth argument it is granted (PCI Firmware 3.3, 4.5.1).
      method("_OSC", 4, returnArgument(3)),
    ),
    device(
      "MRES",
      name("_HID", eisaId("PNP0C02")),
      name("_UID", integer(0)),
      name("_CRS", resourceTemplate(memory32Fixed(ecam.base, ecam.size))),
    ),
  ];
}

/** Where configuration space is memory-mapped (PCI Firmware 3.3, 4.1.2): segment 0, buses from 0 on. */
export function mcfg(pci: AcpiPci): Uint8Array {
  const entry = [...u64(pci.ecam.base), ...u16(0), 0, busesOf(pci) - 1, ...u32(0)];
  return table("MCFG", 1, Uint8Array.from([...u64(0), ...entry]));
}

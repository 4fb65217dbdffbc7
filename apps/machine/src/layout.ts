import { Vcpu } from "@vm/cpu";

/** Where things are in guest-physical memory. The map of the machine, in one place. */
export const ZERO_PAGE = 0x7000;
export const BOOT_GDT = 0x8000;
export const BOOT_PAGE_TABLES = 0x9000;
export const COMMAND_LINE = 0x20000;
/** Conventional memory ends here; the last KiB belongs to the BIOS data area of old. */
export const LOW_RAM_END = 0x9fc00;
export const ACPI_TABLES = 0xe0000;
/** The page of the virtual machine generation ID, and the interrupt that tells of a change: that of a coprocessor, on PCs of old. */
export const GENERATION = 0xfe000;
export const GENERATION_GSI = 13;
/** Code that interrupt vectors lead to which nobody has taken over. */
export const BIOS_STUBS = 0xff000;
export const HIGH_RAM = 0x100000;
export const IO_APIC = 0xfec00000;
export const LOCAL_APIC = 0xfee00000;
export const VIRTIO = 0xfeb00000;
export const VIRTIO_STRIDE = 0x200;

export const COM1 = 0x3f8;
export const COM1_GSI = 4;
export const COM2 = 0x2f8;
export const COM2_GSI = 3;
export const RTC = 0x70;
export const POWER = 0x600;
/** Disks a machine can have; one slot is the entropy device's. */
export const MAX_DISKS = 7;
/** A byte written here is the exit status that a power-off reports; on machines with test devices it ends the machine. */
export const EXIT_STATUS = 0xf4;

/** The devices that PCs have had since the first. */
export const PIC_MASTER = 0x20;
export const PIC_SLAVE = 0xa0;
export const ELCR = 0x4d0;
export const PIT = 0x40;
export const SYSTEM_CONTROL = 0x61;
/** ACPI's fixed hardware of machines that have the devices above, and its interrupt. */
export const ACPI_PM = 0x640;
export const SCI = 9;

/** Where the devices of test programs are; all as QEMU and Bochs have them. */
export const TEST_PORTS = 0xe0;
export const TEST_IRQ_PORTS = 0x2000;
export const TEST_MEMORY = 0xff000000;
export const FW_CFG = 0x510;
export const SHUTDOWN_PORT = 0x8900;

/** Guest RAM the machine can have, in bytes: it lies below the device hole at 3 GiB. */
export const MIN_RAM = 16 * 2 ** 20;
export const MAX_RAM = 3 * 2 ** 30;
export const MAX_CPUS = 32;

/** Where plugins find room for devices: addresses between RAM and the machine's own, and ports. */
export const FREE_MMIO = [MAX_RAM, VIRTIO] as const;
export const FREE_PORTS = [0x1000, 0x10000] as const;

/** The power management block of machines with PCI, where firmware for Intel's Q35 puts it; they have no {@link POWER} and no {@link ACPI_PM}. */
export const ICH9_PM = 0x600;
/** Memory-mapped configuration space of machines with PCI, 256 buses of 1 MiB, where that firmware wants it. */
export const PCI_ECAM = 0xe0000000;
export const PCI_ECAM_SIZE = 2 ** 28;
/** The room for plugins' devices on such machines: addresses that PCI devices cannot decode. */
export const PCI_FREE_MMIO = [PCI_ECAM + PCI_ECAM_SIZE, VIRTIO] as const;

/**
 * Guest-physical addresses that PCI devices can decode: from RAM on, rounded up so that one variable MTRR covers the rest of 4 GiB, as OVMF does it.
 * @param ram bytes
 */
export const pciMemory = (ram: number): readonly [number, number] => [
  2 ** 32 - 2 ** Math.floor(Math.log2(2 ** 32 - ram)),
  PCI_ECAM,
];

const PAGE = 4096;
const WASM_PAGE = 65536;
/** Frames beyond RAM, for memslots that plugins add; untouched they cost nothing. */
const SPARE_FRAMES = 256;
/** Range for decoded code; untouched parts cost nothing. */
const CODE_CACHE = 128 * 2 ** 20;

/** Where things are in the one WebAssembly.Memory: a trap page, vCPUs, decoded code, guest frames. */
export interface HostLayout {
  readonly vcpu: (id: number) => number;
  readonly code: readonly [number, number];
  readonly frames: readonly [number, number];
  /** 64 KiB pages in all. */
  readonly pages: number;
}

/** @param more bytes of frames besides RAM and those for plugins, a multiple of 4096 */
export function hostLayout(cpus: number, ram: number, more = 0): HostLayout {
  const code = PAGE + cpus * Vcpu.bytes;
  const frames = code + CODE_CACHE;
  const end = frames + ram + SPARE_FRAMES * PAGE + more;
  const pages = Math.ceil(end / WASM_PAGE);
  return { vcpu: (id) => PAGE + id * Vcpu.bytes, code: [code, frames], frames: [frames, end], pages };
}

import type { Vcpu } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";
import type { Pace } from "../pace.js";
import { enterLongMode, enterProtectedMode } from "./enter.js";
import { BootError, KernelError } from "./error.js";
import type { KernelImage } from "./kernel.js";
import { type MemoryRange, memoryMap } from "./memory-map.js";
import { checkSegments, store, zeroTerminated } from "./placing.js";
import { BOOT_FLAG, SETUP_HEADER, SETUP_MAGIC } from "./setup-header.js";

export interface LinuxBoot {
  readonly kernel: KernelImage;
  readonly initrd: Uint8Array | null;
  readonly commandLine: string;
  /** Bytes of RAM. */
  readonly ram: number;
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp: number;
  readonly pace: Pace;
}

/** Bytes of a command line for which there is room, without its terminating zero. */
const COMMAND_LINE_ROOM = L.LOW_RAM_END - L.COMMAND_LINE - 1;
/** Where the zero page says where that is: cmd_line_ptr. */
const COMMAND_LINE_POINTER = 0x228;
const [RSP, RSI] = [4, 6];
/** CPUID.(7,0):ECX. */
const CPUID_LA57 = 1 << 16;

/** Bytes at a guest-physical address. */
export interface LinuxPart {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Where a kernel finds itself. */
export interface LinuxPlaces extends Omit<LinuxBoot, "pace"> {
  /** What is where, as the kernel is told. */
  readonly memory: readonly MemoryRange[];
  /** First address that the ram disk must not reach. */
  readonly top: number;
}

/**
 * Kernel, ram disk, command line and zero page where the kernel finds them; of the kernel what it has beyond its bytes is zero.
 * @throws {KernelError} if the kernel does not fit in memory
 * @throws {BootError} if kernel, ram disk and command line do not go together
 */
export function linuxParts({ kernel, initrd, commandLine, ram, rsdp, memory, top }: LinuxPlaces): LinuxPart[] {
  let end = 0;
  for (const { address, size } of kernel.segments) {
    end = Math.max(end, address + size);
    if (address < L.HIGH_RAM)
      throw new KernelError("place", `it wants to be loaded at 0x${address.toString(16)}, below 1 MiB`);
  }
  const initrdAt =
    initrd === null ? 0 : Math.floor((Math.min(top, kernel.initrdMax + 1) - initrd.length) / 4096) * 4096;
  if (end > top || (initrd !== null && initrdAt < end)) {
    const needed = Math.ceil((end + (initrd?.length ?? 0)) / 2 ** 20) + 1;
    throw new BootError(
      "memory",
      needed > top / 2 ** 20
        ? `${ram / 2 ** 20} MiB of memory are too little: kernel and initial ram disk alone need ${needed} MiB`
        : `the kernel takes no initial ram disk above 0x${kernel.initrdMax.toString(16)}, where there is no room for it`,
    );
  }
  checkSegments(kernel.segments, top);
  const line = commandLineBytes(commandLine, kernel.commandLineMax);
  const zeroPage = new Uint8Array(4096);
  const view = new DataView(zeroPage.buffer);
  if (kernel.setupHeader !== null) zeroPage.set(kernel.setupHeader, SETUP_HEADER);
  else {
    view.setUint16(0x1fe, BOOT_FLAG, true);
    view.setUint32(0x202, SETUP_MAGIC, true);
    view.setUint16(0x206, 0x20f, true);
  }
  view.setUint32(0x70, rsdp, true);
  zeroPage[0x210] = 0xff;
  if (initrd !== null) {
    view.setUint32(0x218, initrdAt, true);
    view.setUint32(0x21c, initrd.length, true);
  }
  zeroPage[0x1e8] = memory.length;
  memory.forEach(({ start, end: stop, type }, k) => {
    view.setUint32(0x2d0 + 20 * k, start, true);
    view.setUint32(0x2d0 + 20 * k + 8, stop - start, true);
    view.setUint32(0x2d0 + 20 * k + 16, type, true);
  });
  view.setUint32(COMMAND_LINE_POINTER, L.COMMAND_LINE, true);
  return [
    { address: L.COMMAND_LINE, bytes: line },
    ...kernel.segments,
    ...(initrd === null ? [] : [{ address: initrdAt, bytes: initrd }]),
    { address: L.ZERO_PAGE, bytes: zeroPage },
  ];
}

/**
 * Places kernel, ram disk, command line and zero page, and leaves `vcpu` at the kernel's entry point.
 * @throws as {@link linuxParts}
 */
export async function loadLinux(mmu: Mmu, vcpu: Vcpu, boot: LinuxBoot): Promise<void> {
  const { kernel, ram, pace } = boot;
  for (const { address, bytes } of linuxParts({ ...boot, memory: memoryMap(ram), top: ram })) {
    await store(mmu, address, bytes, pace);
    await pace.breathe();
  }
  enterLinux(mmu, vcpu, { ...kernel, levels: levelsFor(vcpu, boot) });
}

/** Stores the kernel command line. @throws {BootError} if it has more than `most` bytes */
export function writeCommandLine(mmu: Mmu, commandLine: string, most: number): void {
  mmu.write(L.COMMAND_LINE, commandLineBytes(commandLine, most));
}

function commandLineBytes(commandLine: string, most: number): Uint8Array {
  return zeroTerminated("the kernel command line", commandLine, Math.min(most, COMMAND_LINE_ROOM));
}

/** Stores the zero page, which is given the command line's address. */
export function writeZeroPage(mmu: Mmu, zeroPage: Uint8Array): void {
  new DataView(zeroPage.buffer).setUint32(COMMAND_LINE_POINTER, L.COMMAND_LINE, true);
  mmu.write(L.ZERO_PAGE, zeroPage);
}

/** Leaves `vcpu` at a kernel's entry with RSI pointing to the zero page, and 4 GiB identity-mapped if that is in 64-bit mode. */
export function enterLinux(mmu: Mmu, vcpu: Vcpu, { entry, bits, levels }: LinuxEntry): void {
  if (bits === 32) enterProtectedMode(mmu, vcpu, entry, L.BOOT_GDT);
  else enterLongMode(mmu, vcpu, entry, { gdt: L.BOOT_GDT, pageTables: L.BOOT_PAGE_TABLES, gib: 4, levels });
  vcpu.setReg(RSP, L.ZERO_PAGE, 0);
  vcpu.setReg(RSI, L.ZERO_PAGE, 0);
}

export interface LinuxEntry {
  /** Guest-physical address. */
  readonly entry: number;
  /** 64: boot.rst, "64-bit BOOT PROTOCOL"; 32: "32-bit BOOT PROTOCOL". */
  readonly bits: 32 | 64;
  /** Levels of the page tables. */
  readonly levels: 4 | 5;
}

/**
 * Levels of the page tables that a kernel is entered with. Its own unpacker would turn 5 levels on where the processor has them and
 * the command line does not say no; a kernel unpacked by the host finds them on.
 */
function levelsFor({ ports }: Vcpu, { kernel, commandLine }: LinuxBoot): 4 | 5 {
  const offered = (ports.cpuid.query(7, 0).ecx & CPUID_LA57) !== 0;
  return kernel.fiveLevel && offered && !commandLine.split(/\s+/).includes("no5lvl") ? 5 : 4;
}

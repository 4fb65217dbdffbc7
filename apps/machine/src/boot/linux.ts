import type { Vcpu } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";
import { enterLongMode } from "./enter.js";
import { BootError, KernelError } from "./error.js";
import type { KernelImage } from "./kernel.js";
import { memoryMap } from "./memory-map.js";

export interface LinuxBoot {
  readonly kernel: KernelImage;
  readonly initrd: Uint8Array | null;
  readonly commandLine: string;
  /** Bytes of RAM. */
  readonly ram: number;
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp: number;
}

/** Bytes a command line may have without its terminating zero. */
export const COMMAND_LINE_MAX = 2047;

/** Places kernel, ram disk, command line and zero page, and leaves `vcpu` at the 64-bit entry point (boot.rst, "64-bit BOOT PROTOCOL"). */
export function loadLinux(mmu: Mmu, vcpu: Vcpu, boot: LinuxBoot): void {
  const { kernel, initrd, ram } = boot;
  let end = 0;
  for (const { address, size } of kernel.segments) {
    end = Math.max(end, address + size);
    if (address < L.HIGH_RAM) throw new KernelError(`it wants to be loaded at 0x${address.toString(16)}, below 1 MiB`);
  }
  const initrdAt =
    initrd === null ? 0 : Math.floor((Math.min(ram, kernel.initrdMax + 1) - initrd.length) / 4096) * 4096;
  if (end > ram || (initrd !== null && initrdAt < end)) {
    const needed = Math.ceil((end + (initrd?.length ?? 0)) / 2 ** 20) + 1;
    throw new BootError(
      `${ram / 2 ** 20} MiB of memory are too little: kernel and initial ram disk alone need ${needed} MiB`,
    );
  }
  for (const { address, bytes } of kernel.segments) mmu.write(address, bytes);
  if (initrd !== null) mmu.write(initrdAt, initrd);
  writeCommandLine(mmu, boot.commandLine);

  const zeroPage = new Uint8Array(4096);
  const view = new DataView(zeroPage.buffer);
  if (kernel.setupHeader !== null) zeroPage.set(kernel.setupHeader, 0x1f1);
  else {
    view.setUint16(0x1fe, 0xaa55, true);
    view.setUint32(0x202, 0x53726448, true);
    view.setUint16(0x206, 0x20f, true);
  }
  view.setUint32(0x70, boot.rsdp, true);
  zeroPage[0x210] = 0xff;
  if (initrd !== null) {
    view.setUint32(0x218, initrdAt, true);
    view.setUint32(0x21c, initrd.length, true);
  }
  const e820 = memoryMap(ram);
  zeroPage[0x1e8] = e820.length;
  e820.forEach(({ start, end: stop, type }, k) => {
    view.setUint32(0x2d0 + 20 * k, start, true);
    view.setUint32(0x2d0 + 20 * k + 8, stop - start, true);
    view.setUint32(0x2d0 + 20 * k + 16, type, true);
  });
  writeZeroPage(mmu, zeroPage);
  enterLinux(mmu, vcpu, kernel.entry);
}

/** Stores the kernel command line. @throws {BootError} if it is too long */
export function writeCommandLine(mmu: Mmu, commandLine: string): void {
  const bytes = new TextEncoder().encode(commandLine);
  if (bytes.length > COMMAND_LINE_MAX) {
    throw new BootError(`the kernel command line has ${bytes.length} bytes; at most ${COMMAND_LINE_MAX} are possible`);
  }
  mmu.write(L.COMMAND_LINE, Uint8Array.of(...bytes, 0));
}

/** Stores the zero page, which is given the command line's address. */
export function writeZeroPage(mmu: Mmu, zeroPage: Uint8Array): void {
  new DataView(zeroPage.buffer).setUint32(0x228, L.COMMAND_LINE, true);
  mmu.write(L.ZERO_PAGE, zeroPage);
}

/** 64-bit mode with 4 GiB identity-mapped, RSI pointing to the zero page (boot.rst, "64-bit BOOT PROTOCOL"). */
export function enterLinux(mmu: Mmu, vcpu: Vcpu, entry: number): void {
  enterLongMode(mmu, vcpu, entry, { gdt: L.BOOT_GDT, pageTables: L.BOOT_PAGE_TABLES, gib: 4 });
  vcpu.setReg(4, L.ZERO_PAGE, 0);
  vcpu.setReg(6, L.ZERO_PAGE, 0);
}

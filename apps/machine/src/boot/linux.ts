import { Seg, type Vcpu } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";
import { BootError, KernelError } from "./error.js";
import type { KernelImage } from "./kernel.js";

export interface LinuxBoot {
  readonly kernel: KernelImage;
  readonly initrd: Uint8Array | null;
  readonly commandLine: string;
  /** Bytes of RAM. */
  readonly ram: number;
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp: number;
}

const RAM = 1;
const RESERVED = 2;
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
  const e820: readonly (readonly [start: number, end: number, type: number])[] = [
    [0, L.LOW_RAM_END, RAM],
    [L.LOW_RAM_END, 0xa0000, RESERVED],
    [L.ACPI_TABLES, L.HIGH_RAM, RESERVED],
    [L.HIGH_RAM, ram, RAM],
  ];
  zeroPage[0x1e8] = e820.length;
  e820.forEach(([start, stop, type], k) => {
    view.setUint32(0x2d0 + 20 * k, start, true);
    view.setUint32(0x2d0 + 20 * k + 8, stop - start, true);
    view.setUint32(0x2d0 + 20 * k + 16, type, true);
  });
  writeZeroPage(mmu, zeroPage);
  enterLongMode(mmu, vcpu, kernel.entry, L.ZERO_PAGE);
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

/** 4 GiB identity-mapped by 2 MiB pages, flat segments, interrupts off, RSI = `argument`. */
export function enterLongMode(mmu: Mmu, vcpu: Vcpu, entry: number, argument: number): void {
  const tables = new Uint8Array(6 * 4096);
  const view = new DataView(tables.buffer);
  const PRESENT_WRITABLE = 3;
  view.setUint32(0, (L.BOOT_PAGE_TABLES + 4096) | PRESENT_WRITABLE, true);
  for (let k = 0; k < 4; k++)
    view.setUint32(4096 + 8 * k, (L.BOOT_PAGE_TABLES + 4096 * (2 + k)) | PRESENT_WRITABLE, true);
  for (let k = 0; k < 2048; k++)
    view.setUint32(2 * 4096 + 8 * k, ((k * 2 ** 21) | 0x80 | PRESENT_WRITABLE) >>> 0, true);
  mmu.write(L.BOOT_PAGE_TABLES, tables);
  const gdt = new DataView(new ArrayBuffer(32));
  gdt.setUint32(16, 0x0000ffff, true);
  gdt.setUint32(20, 0x00af9b00, true);
  gdt.setUint32(24, 0x0000ffff, true);
  gdt.setUint32(28, 0x00cf9300, true);
  mmu.write(L.BOOT_GDT, new Uint8Array(gdt.buffer));

  vcpu.gdtr.baseLo = L.BOOT_GDT;
  vcpu.gdtr.limit = 31;
  vcpu.idtr.limit = 0;
  vcpu.cr0 = 0x80000031 | 0;
  vcpu.cr4 = 0x20;
  vcpu.efer = 0x500;
  vcpu.paging.cr3Lo = L.BOOT_PAGE_TABLES;
  const flat = { baseLo: 0, baseHi: 0, limit: 0xffffffff };
  for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS])
    vcpu.setSegment(seg, { selector: 0x18, ...flat, attributes: 0xc093 });
  vcpu.setSegment(Seg.CS, { selector: 0x10, ...flat, attributes: 0xa09b });
  vcpu.updatePaging();
  vcpu.updateMode();
  vcpu.setReg(4, L.ZERO_PAGE, 0);
  vcpu.setReg(6, argument, 0);
  vcpu.setRip(entry, 0);
}

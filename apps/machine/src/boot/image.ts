import type { Vcpu } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";
import type { Pace } from "../pace.js";
import { EM_X86_64, isElf, readElf, type Segment } from "./elf.js";
import { BOOT_GDT_SIZE, enterLongMode, enterProtectedMode, pageTableBytes } from "./enter.js";
import { KernelError } from "./error.js";
import { GuestMap } from "./guest-map.js";
import { type BootModule, MULTIBOOT_LOADED, readMultiboot, writeMultibootInfo } from "./multiboot.js";
import { pvhEntry, writeStartInfo } from "./pvh.js";

/** How an image that runs without an operating system is entered. */
export type Protocol = "multiboot" | "pvh" | "elf64";

export interface BareImage {
  readonly protocol: Protocol;
  readonly segments: readonly Segment[];
  /** Physical address of the entry point. */
  readonly entry: number;
}

export interface BareBoot {
  readonly image: BareImage;
  /** argv[0] of images whose protocol has one. */
  readonly name: string;
  readonly commandLine: string;
  readonly modules: readonly BootModule[];
  /** Bytes of RAM. */
  readonly ram: number;
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp: number;
  readonly pace: Pace;
}

/** GiB identity-mapped for a plain ELF64 image: RAM and every device, and then some. */
const MAPPED_GIB = 5;
const STACK = 0x4000;
const [RAX, RBX, RSP, RDI] = [0, 3, 4, 7];

/**
 * Reads an image and chooses how it is entered: by its multiboot header, else by its PVH note, else as a 64-bit program.
 * @throws {KernelError} if it is none of these or is cut short
 */
export function readImage(file: Uint8Array): BareImage {
  const multiboot = readMultiboot(file);
  if (multiboot !== null) return { protocol: "multiboot", ...multiboot };
  if (!isElf(file)) throw new KernelError("format", "it is neither an ELF file nor a multiboot image");
  const elf = readElf(file);
  const pvh = pvhEntry(elf);
  if (pvh !== null) return { protocol: "pvh", segments: elf.segments, entry: pvh };
  if (elf.bits !== 64)
    throw new KernelError("processor", "it is a 32-bit ELF file without a multiboot header or a PVH note");
  if (elf.machine !== EM_X86_64)
    throw new KernelError("processor", "it is an ELF file for another processor than x86-64");
  return { protocol: "elf64", segments: elf.segments, entry: elf.entry() };
}

/**
 * Places an image and what it is told about its machine, and leaves `vcpu` at its entry point.
 *
 * - `multiboot`, `pvh`: 32-bit protected mode without paging; EBX points to the information, EAX is 0x2badb002 for multiboot.
 * - `elf64`: 64-bit mode, 5 GiB identity-mapped by 2 MiB pages, RDI points to a multiboot information, RSP to the zero return
 *   address on a stack of 16 KiB.
 *
 * @throws {KernelError} if the image does not fit in memory
 * @throws {BootError} if there is no room beside it
 */
export async function loadImage(mmu: Mmu, vcpu: Vcpu, boot: BareBoot): Promise<void> {
  const { protocol, segments, entry } = boot.image;
  const map = await GuestMap.place(mmu, boot.ram, segments, boot.pace);
  const info = await (protocol === "pvh" ? writeStartInfo(map, boot) : writeMultibootInfo(map, boot));
  const gdt = map.takeLow(BOOT_GDT_SIZE);
  if (protocol === "elf64") {
    const stack = map.takeLow(STACK);
    const pageTables = map.takeLow(pageTableBytes(MAPPED_GIB), 4096);
    enterLongMode(mmu, vcpu, entry, { gdt, pageTables, gib: MAPPED_GIB });
    vcpu.setReg(RSP, stack + STACK - 8, 0);
    vcpu.setReg(RDI, info, 0);
    return;
  }
  enterProtectedMode(mmu, vcpu, entry, gdt);
  vcpu.setReg(RAX, protocol === "multiboot" ? MULTIBOOT_LOADED : 0, 0);
  vcpu.setReg(RBX, info, 0);
}

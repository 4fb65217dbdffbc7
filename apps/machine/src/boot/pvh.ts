import type { ElfImage } from "./elf.js";
import { KernelError } from "./error.js";
import type { GuestMap } from "./guest-map.js";
import { memoryMap } from "./memory-map.js";
import type { BootModule } from "./multiboot.js";

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const NOTE_NAME = [..."Xen\0"].map((char) => char.charCodeAt(0));
const MAGIC = 0x336ec578;
const VERSION = 1;
const INFO_SIZE = 56;
const MODULE_SIZE = 32;
const RANGE_SIZE = 24;

/**
 * The physical address at which an image is entered by the PVH protocol, from its ELF note (Xen docs/misc/pvh.pandoc); null if it
 * has no such note.
 * @throws {KernelError} for a note of another length than 4 or 8
 */
export function pvhEntry({ notes }: ElfImage): number | null {
  for (const notesOfSegment of notes) {
    const view = new DataView(notesOfSegment.buffer, notesOfSegment.byteOffset, notesOfSegment.byteLength);
    let at = 0;
    while (at + 12 <= view.byteLength) {
      const nameSize = view.getUint32(at, true);
      const size = view.getUint32(at + 4, true);
      const type = view.getUint32(at + 8, true);
      const description = at + 12 + align4(nameSize);
      if (description + size > view.byteLength) break;
      const named = nameSize === NOTE_NAME.length && NOTE_NAME.every((byte, k) => notesOfSegment[at + 12 + k] === byte);
      if (type === XEN_ELFNOTE_PHYS32_ENTRY && named) {
        if (size !== 4 && size !== 8)
          throw new KernelError("damaged", `its PVH note has ${size} bytes instead of 4 or 8`);
        return view.getUint32(description, true);
      }
      at = description + align4(size);
    }
  }
  return null;
}

const align4 = (value: number): number => Math.ceil(value / 4) * 4;

export interface PvhBoot {
  /** Bytes of RAM. */
  readonly ram: number;
  readonly commandLine: string;
  readonly modules: readonly BootModule[];
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp: number;
}

/** Stores modules and `hvm_start_info` (Xen xen/include/public/arch-x86/hvm/start_info.h) in memory; returns its address, for EBX. */
export async function writeStartInfo(map: GuestMap, boot: PvhBoot): Promise<number> {
  const { ram, commandLine, modules, rsdp } = boot;
  const list = new DataView(new ArrayBuffer(MODULE_SIZE * modules.length));
  for (const [k, { bytes, text }] of modules.entries()) {
    list.setUint32(MODULE_SIZE * k, await map.putHigh(bytes), true);
    list.setUint32(MODULE_SIZE * k + 8, bytes.length, true);
    list.setUint32(MODULE_SIZE * k + 16, map.putText("the text of a module", text), true);
  }
  const ranges = memoryMap(ram);
  const rangeList = new DataView(new ArrayBuffer(RANGE_SIZE * ranges.length));
  ranges.forEach(({ start, end, type }, k) => {
    rangeList.setUint32(RANGE_SIZE * k, start, true);
    rangeList.setUint32(RANGE_SIZE * k + 8, end - start, true);
    rangeList.setUint32(RANGE_SIZE * k + 16, type, true);
  });
  const info = new DataView(new ArrayBuffer(INFO_SIZE));
  info.setUint32(0, MAGIC, true);
  info.setUint32(4, VERSION, true);
  info.setUint32(12, modules.length, true);
  info.setUint32(16, modules.length === 0 ? 0 : map.putLow(new Uint8Array(list.buffer)), true);
  info.setUint32(24, map.putText("the command line", commandLine), true);
  info.setUint32(32, rsdp, true);
  info.setUint32(40, map.putLow(new Uint8Array(rangeList.buffer)), true);
  info.setUint32(48, ranges.length, true);
  return map.putLow(new Uint8Array(info.buffer));
}

import { EM_386, EM_X86_64, isElf, readElf, type Segment } from "./elf.js";
import { KernelError } from "./error.js";
import type { GuestMap } from "./guest-map.js";
import { memoryMap } from "./memory-map.js";

/** What EAX holds at the entry of a multiboot image. */
export const MULTIBOOT_LOADED = 0x2badb002;

const MAGIC = 0x1badb002;
/** The header is within so many bytes of the file. */
const SEARCH = 8192;
const HEADER_SIZE = 12;
/** Flags 0-15 must be understood: 0 aligns modules to pages, 1 wants the memory size. Both are always so. */
const REQUIRED = 0xffff;
const UNDERSTOOD = 0b11;
/** The header itself says what is loaded where. */
const HAS_ADDRESSES = 1 << 16;
const ADDRESSES_SIZE = 32;

/** An image to be entered in 32-bit protected mode. */
export interface MultibootImage {
  readonly segments: readonly Segment[];
  readonly entry: number;
}

/**
 * Reads an image with a multiboot header (Multiboot Specification 0.6.96, 3.1); null if it has none.
 * @throws {KernelError} for a header that asks for what is not there, an image cut short, or for another processor
 */
export function readMultiboot(file: Uint8Array): MultibootImage | null {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const at = findHeader(view);
  if (at === null) return null;
  const flags = view.getUint32(at + 4, true);
  const unknown = flags & REQUIRED & ~UNDERSTOOD;
  if (unknown !== 0) {
    throw new KernelError(
      "format",
      `its multiboot header requires flags 0x${unknown.toString(16)}, which are not offered`,
    );
  }
  if (isElf(file) && !(flags & HAS_ADDRESSES)) return readSegments(file);
  if (flags & HAS_ADDRESSES) return readByAddresses(file, view, at);
  throw new KernelError(
    "format",
    "it has a multiboot header but is no ELF file, and the header does not say where it is loaded",
  );
}

function findHeader(view: DataView): number | null {
  const last = Math.min(view.byteLength, SEARCH) - HEADER_SIZE;
  for (let at = 0; at <= last; at += 4) {
    if (view.getUint32(at, true) !== MAGIC) continue;
    const sum = MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true);
    if (sum % 2 ** 32 === 0) return at;
  }
  return null;
}

function readSegments(file: Uint8Array): MultibootImage {
  const { machine, segments, entry } = readElf(file);
  if (machine !== EM_386 && machine !== EM_X86_64)
    throw new KernelError("processor", "it is an ELF file for another processor than x86");
  return { segments, entry: entry() };
}

/** The fields that stand in for an ELF header (3.1.3): all addresses are physical. */
function readByAddresses(file: Uint8Array, view: DataView, at: number): MultibootImage {
  if (at + ADDRESSES_SIZE > file.length) throw new KernelError("cut-short", "its multiboot header is cut short");
  const field = (k: number): number => view.getUint32(at + HEADER_SIZE + 4 * k, true);
  const [header, load, loadEnd, bssEnd, entry] = [field(0), field(1), field(2), field(3), field(4)];
  const offset = at - (header - load);
  const end = loadEnd === 0 ? file.length : offset + loadEnd - load;
  if (offset < 0 || load > header || end < offset) {
    throw new KernelError("damaged", "the addresses in its multiboot header contradict each other");
  }
  if (end > file.length) throw new KernelError("cut-short", "it is cut short: its multiboot header promises more");
  const bytes = file.subarray(offset, end);
  return { segments: [{ address: load, bytes, size: Math.max(bytes.length, bssEnd - load) }], entry };
}

export interface MultibootBoot {
  /** Bytes of RAM. */
  readonly ram: number;
  /** argv[0]. */
  readonly name: string;
  readonly commandLine: string;
  readonly modules: readonly BootModule[];
}

/** A file that is handed to an image. */
export interface BootModule {
  readonly bytes: Uint8Array;
  /** The text that goes with it; its name. */
  readonly text: string;
}

/** Bits of the information's flags: which fields are valid (3.3). */
const INFO = { memory: 1 << 0, commandLine: 1 << 2, modules: 1 << 3, memoryMap: 1 << 6, loader: 1 << 9 } as const;
const INFO_SIZE = 116;
const MODULE_SIZE = 16;
const RANGE_SIZE = 24;

/** Stores modules and boot information (3.3) in memory; returns the address of the information. */
export async function writeMultibootInfo(map: GuestMap, boot: MultibootBoot): Promise<number> {
  const { ram, name, commandLine, modules } = boot;
  const list = new DataView(new ArrayBuffer(MODULE_SIZE * modules.length));
  for (const [k, { bytes, text }] of modules.entries()) {
    const start = await map.putHigh(bytes);
    list.setUint32(MODULE_SIZE * k, start, true);
    list.setUint32(MODULE_SIZE * k + 4, start + bytes.length, true);
    list.setUint32(MODULE_SIZE * k + 8, map.putText("the text of a module", text), true);
  }
  const ranges = memoryMap(ram);
  const rangeList = new DataView(new ArrayBuffer(RANGE_SIZE * ranges.length));
  ranges.forEach(({ start, end, type }, k) => {
    // The size field does not count itself.
    rangeList.setUint32(RANGE_SIZE * k, RANGE_SIZE - 4, true);
    rangeList.setUint32(RANGE_SIZE * k + 4, start, true);
    rangeList.setUint32(RANGE_SIZE * k + 12, end - start, true);
    rangeList.setUint32(RANGE_SIZE * k + 20, type, true);
  });
  const info = new DataView(new ArrayBuffer(INFO_SIZE));
  const flags = INFO.memory | INFO.commandLine | INFO.modules | INFO.memoryMap | INFO.loader;
  info.setUint32(0, flags, true);
  info.setUint32(4, (ranges[0]?.end ?? 0) / 1024, true);
  info.setUint32(8, (ram - 2 ** 20) / 1024, true);
  info.setUint32(16, map.putText("the command line", [name, commandLine].join(" ").trim()), true);
  info.setUint32(20, modules.length, true);
  info.setUint32(24, modules.length === 0 ? 0 : map.putLow(new Uint8Array(list.buffer)), true);
  info.setUint32(44, rangeList.byteLength, true);
  info.setUint32(48, map.putLow(new Uint8Array(rangeList.buffer)), true);
  info.setUint32(64, map.putText("the name of the loader", "vm"), true);
  return map.putLow(new Uint8Array(info.buffer));
}

import { decompress } from "./decompress.js";
import { EM_X86_64, isElf, readElf, type Segment } from "./elf.js";
import { KernelError } from "./error.js";

/** A kernel ready to be placed in memory and entered in 64-bit mode. */
export interface KernelImage {
  readonly segments: readonly Segment[];
  /** Guest-physical address of the 64-bit entry point; RSI points to the zero page. */
  readonly entry: number;
  /** The setup header: bytes 0x1f1 up to its end, or null for a plain ELF. */
  readonly setupHeader: Uint8Array | null;
  /** Highest address the initial ram disk may reach. */
  readonly initrdMax: number;
}

const HEADER = 0x1f1;

/**
 * Reads a bzImage (Documentation/arch/x86/boot.rst, protocol 2.08 or later) or a plain x86-64 ELF kernel.
 * @throws {KernelError} if it is neither, is cut short, or is for another processor
 */
export async function readKernel(file: Uint8Array): Promise<KernelImage> {
  if (isElf(file)) return readElfKernel(file, null, 0x7fffffff);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 0x268 || view.getUint32(0x202, true) !== 0x53726448) {
    throw new KernelError("it is neither a Linux bzImage nor an x86-64 ELF kernel");
  }
  const version = view.getUint16(0x206, true);
  if (version < 0x20c)
    throw new KernelError(`its boot protocol is ${version >> 8}.${version & 0xff}; 2.12 or later is needed`);
  if (!(view.getUint16(0x236, true) & 1)) throw new KernelError("it has no 64-bit entry point");
  const setupSectors = view.getUint8(HEADER) || 4;
  const payload = (setupSectors + 1) * 512 + view.getUint32(0x248, true);
  const length = view.getUint32(0x24c, true);
  if (payload + length > file.length) {
    throw new KernelError(`it is cut short: ${file.length} bytes of at least ${payload + length}`);
  }
  // The last four bytes of the payload are its unpacked size.
  const size = view.getUint32(payload + length - 4, true);
  const vmlinux = await decompress(file.subarray(payload, payload + length - 4), size);
  if (!isElf(vmlinux)) throw new KernelError("its payload is not an ELF file");
  return readElfKernel(vmlinux, file.slice(HEADER, 0x202 + view.getUint8(0x201)), view.getUint32(0x22c, true));
}

/** @throws {KernelError} */
function readElfKernel(file: Uint8Array, setupHeader: Uint8Array | null, initrdMax: number): KernelImage {
  if (file.length > 19 && (file[4] !== 2 || ((file[18] as number) | ((file[19] as number) << 8)) !== EM_X86_64))
    throw new KernelError("it is an ELF file for another processor than x86-64");
  const { segments, entry } = readElf(file);
  return { segments, entry, setupHeader, initrdMax };
}

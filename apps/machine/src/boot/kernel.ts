import { decompress } from "./decompress.js";
import { KernelError } from "./error.js";

/** A part of the kernel and where it goes. */
export interface Segment {
  /** Guest-physical address, bytes. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Bytes in memory; the rest after `bytes` is zero. */
  readonly size: number;
}

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
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_INTERP = 3;

/**
 * Reads a bzImage (Documentation/arch/x86/boot.rst, protocol 2.08 or later) or a plain x86-64 ELF kernel.
 * @throws {KernelError} if it is neither, is cut short, or is for another processor
 */
export async function readKernel(file: Uint8Array): Promise<KernelImage> {
  if (isElf(file)) return readElf(file, null, 0x7fffffff);
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
  return readElf(vmlinux, file.slice(HEADER, 0x202 + view.getUint8(0x201)), view.getUint32(0x22c, true));
}

const isElf = (b: Uint8Array): boolean => b[0] === 0x7f && b[1] === 0x45 && b[2] === 0x4c && b[3] === 0x46;

function readElf(file: Uint8Array, setupHeader: Uint8Array | null, initrdMax: number): KernelImage {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const short = (): KernelError => new KernelError("it is an ELF file that is cut short");
  if (file.length < 64) throw short();
  if (file[4] !== 2 || view.getUint16(18, true) !== EM_X86_64)
    throw new KernelError("it is an ELF file for another processor than x86-64");
  const u64 = (at: number): number => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  const at = u64(32);
  const count = view.getUint16(56, true);
  const entrySize = view.getUint16(54, true);
  if (at + count * entrySize > file.length) throw short();
  const segments: Segment[] = [];
  let entry = u64(24);
  for (let k = 0; k < count; k++) {
    const p = at + k * entrySize;
    const type = view.getUint32(p, true);
    if (type === PT_INTERP) throw new KernelError("it is an ELF program, not a kernel");
    if (type !== PT_LOAD) continue;
    const offset = u64(p + 8);
    const virtual = u64(p + 16);
    const address = u64(p + 24);
    const bytes = u64(p + 32);
    const size = u64(p + 40);
    if (offset + bytes > file.length) throw short();
    if (size === 0) continue;
    // An entry point given as a virtual address is translated by the segment it lies in.
    if (entry >= virtual && entry < virtual + size && virtual !== address) entry = entry - virtual + address;
    segments.push({ address, bytes: file.subarray(offset, offset + bytes), size });
  }
  if (segments.length === 0) throw new KernelError("it is an ELF file with nothing to load");
  return { segments, entry, setupHeader, initrdMax };
}

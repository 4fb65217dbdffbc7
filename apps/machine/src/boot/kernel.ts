import type { Pace } from "../pace.js";
import { decompress } from "./decompress.js";
import { EM_X86_64, isElf, readElf, type Segment } from "./elf.js";
import { KernelError, UnknownPackingError } from "./error.js";
import { CODE32_START, isBzImage, readSetupHeader, SETUP_HEADER, type SetupHeader } from "./setup-header.js";

/**
 * Who unpacks a bzImage: the host, which is faster; the guest, by the code that the image brings for it, as on a PC; or the host where
 * it can, else the guest.
 */
export type Unpack = "host" | "guest" | "auto";

/** A kernel ready to be placed in memory and entered. */
export interface KernelImage {
  readonly segments: readonly Segment[];
  /** Guest-physical address of the entry point; RSI points to the zero page. */
  readonly entry: number;
  /** Mode in which it is entered. */
  readonly bits: 32 | 64;
  /** Whether it is a 64-bit Linux, as far as can be told: it has a compressed payload, or is ELF. */
  readonly linux64: boolean;
  /** Whether it may be entered with 5-level page tables. */
  readonly fiveLevel: boolean;
  /** The setup header: bytes 0x1f1 up to its end, or null for a plain ELF. */
  readonly setupHeader: Uint8Array | null;
  /** Highest address the initial ram disk may reach. */
  readonly initrdMax: number;
  /** Bytes its command line may have without the terminating zero. */
  readonly commandLineMax: number;
}

export interface KernelOptions {
  readonly unpack: Unpack;
  /** Bytes of RAM: no kernel unpacks to more. */
  readonly ram: number;
  readonly pace: Pace;
}

const ENTRY_64 = 0x200;
/** What an ELF kernel, which does not tell, is taken to have. */
const ELF_KERNEL = {
  setupHeader: null,
  initrdMax: 0x7fffffff,
  commandLineMax: 2047,
  fiveLevel: false,
  linux64: true,
} as const;

/**
 * Reads a bzImage (Documentation/arch/x86/boot.rst) or a plain x86-64 ELF kernel.
 * @throws {KernelError} if it is neither, is cut short, or is for another processor, or if the host is to unpack it and cannot
 */
export async function readKernel(file: Uint8Array, options: KernelOptions): Promise<KernelImage> {
  if (isElf(file)) return { ...readElfKernel(file), ...ELF_KERNEL };
  if (!isBzImage(file)) throw new KernelError("format", "it is neither a Linux bzImage nor an x86-64 ELF kernel");
  const header = readSetupHeader(file);
  if (options.unpack === "guest") return packedKernel(header);
  try {
    return await unpackedKernel(header, options);
  } catch (error) {
    if (options.unpack === "auto" && error instanceof UnknownPackingError) return packedKernel(header);
    throw error;
  }
}

/** The image as it is, to be entered where a boot loader would (boot.rst, "32-bit" and "64-bit BOOT PROTOCOL"). It unpacks itself. */
function packedKernel(header: SetupHeader): KernelImage {
  const { bytes, code, payload, load, initSize, entry64, initrdMax, commandLineMax } = header;
  const setupHeader = bytes.slice();
  // A loader tells where it has loaded the code.
  new DataView(setupHeader.buffer).setUint32(CODE32_START - SETUP_HEADER, load, true);
  return {
    segments: [{ address: load, bytes: code, size: initSize }],
    entry: entry64 ? load + ENTRY_64 : load,
    bits: entry64 ? 64 : 32,
    linux64: entry64 && payload !== null,
    // Its own code turns 5-level paging on: it expects to be entered with 4 levels.
    fiveLevel: false,
    setupHeader,
    initrdMax,
    commandLineMax,
  };
}

/** @throws {UnknownPackingError} if only its own code can unpack it */
async function unpackedKernel(header: SetupHeader, { ram, pace }: KernelOptions): Promise<KernelImage> {
  const { payload, entry64, bytes: setupHeader, initrdMax, commandLineMax, fiveLevel } = header;
  if (!entry64) throw new UnknownPackingError("it has no 64-bit entry point");
  if (payload === null) throw new UnknownPackingError("it has no compressed payload");
  const packed = payload.subarray(0, -4);
  const size = new DataView(payload.buffer, payload.byteOffset).getUint32(packed.length, true);
  if (size > ram) {
    const [unpacked, memory] = [size, ram].map((bytes) => Number((bytes / 2 ** 20).toFixed(1)));
    throw new KernelError("size", `its payload unpacks to ${unpacked} MiB, more than the ${memory} MiB of memory`);
  }
  const vmlinux = await decompress(packed, size, pace);
  if (!isElf(vmlinux)) throw new UnknownPackingError("its payload is not an ELF file");
  return { ...readElfKernel(vmlinux), setupHeader, initrdMax, commandLineMax, fiveLevel, linux64: true };
}

/** @throws {KernelError} */
function readElfKernel(file: Uint8Array): Pick<KernelImage, "segments" | "entry" | "bits"> {
  if (file.length > 19 && (file[4] !== 2 || ((file[18] as number) | ((file[19] as number) << 8)) !== EM_X86_64))
    throw new KernelError("processor", "it is an ELF file for another processor than x86-64");
  const { segments, entry } = readElf(file);
  return { segments, entry: entry(), bits: 64 };
}

import { KernelError } from "./error.js";

/** Offset of the setup header in a bzImage and in the zero page (boot.rst, "The Real-Mode Kernel Header"). */
export const SETUP_HEADER = 0x1f1;
/** "HdrS". */
export const SETUP_MAGIC = 0x53726448;
export const BOOT_FLAG = 0xaa55;
/** Offset of the field that holds where the code is. */
export const CODE32_START = 0x214;

const SECTOR = 512;
/** Where the header of the first protocol that has one ends, and where the zero page goes on with other things. */
const HEADER_LEAST = 0x224;
const HEADER_MOST = 0x290;
const LOADED_HIGH = 1 << 0;
/** The header grows with the protocol; what a version lacks is as the protocol before had it. */
const VERSION = {
  initrdMax: 0x203,
  relocatable: 0x205,
  commandLine: 0x206,
  payload: 0x208,
  preferred: 0x20a,
  flags: 0x20c,
} as const;
/** xloadflags. */
const XLF = { kernel64: 1 << 0, fiveLevel: (1 << 5) | (1 << 6) } as const;
const DEFAULT_INITRD_MAX = 0x37ffffff;
const DEFAULT_COMMAND_LINE_MAX = 255;
const DEFAULT_LOAD = 0x100000;

/** What a bzImage says of itself (Documentation/arch/x86/boot.rst), protocol 2.00 and later. */
export interface SetupHeader {
  /** Bytes 0x1f1 up to the header's end, for the zero page. */
  readonly bytes: Uint8Array;
  /** All that is loaded above 1 MiB: the kernel with its own unpacker. */
  readonly code: Uint8Array;
  /** The compressed kernel in it with its unpacked size behind, null if it has none or does not tell. */
  readonly payload: Uint8Array | null;
  /** Where `code` wants to be loaded. */
  readonly load: number;
  /** Bytes that it needs from there on until it reads the memory map. */
  readonly initSize: number;
  /** Whether `code` has a 64-bit entry point, 0x200 bytes in; the 32-bit one is its first byte. */
  readonly entry64: boolean;
  /** Whether the kernel can run with 5-level page tables. */
  readonly fiveLevel: boolean;
  /** Highest address the initial ram disk may reach. */
  readonly initrdMax: number;
  /** Bytes of a command line without its terminating zero. */
  readonly commandLineMax: number;
}

export const isBzImage = (file: Uint8Array): boolean =>
  file.length >= 0x268 && new DataView(file.buffer, file.byteOffset).getUint32(0x202, true) === SETUP_MAGIC;

/** @throws {KernelError} for a zImage, and for an image that is cut short or contradicts itself */
export function readSetupHeader(file: Uint8Array): SetupHeader {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const version = view.getUint16(0x206, true);
  const since = <T>(first: number, value: T, otherwise: T): T => (version >= first ? value : otherwise);
  if (version < 0x200 || !(view.getUint8(0x211) & LOADED_HIGH)) {
    throw new KernelError("format", "it is a zImage, which is loaded below 1 MiB; a bzImage is needed");
  }
  const codeAt = ((view.getUint8(SETUP_HEADER) || 4) + 1) * SECTOR;
  if (codeAt >= file.length)
    throw new KernelError("cut-short", `it is cut short: ${file.length} bytes of more than ${codeAt}`);
  const code = file.subarray(codeAt);
  const end = 0x202 + view.getUint8(0x201);
  if (end < HEADER_LEAST)
    throw new KernelError("damaged", `its setup header ends at 0x${end.toString(16)}, before it has begun`);
  const xloadflags = since(VERSION.flags, view.getUint16(0x236, true), 0);
  const relocatable = since(VERSION.relocatable, view.getUint8(0x234) !== 0, false);
  const load = since(
    VERSION.preferred,
    u64(view, 0x258),
    relocatable ? DEFAULT_LOAD : view.getUint32(CODE32_START, true),
  );
  return {
    bytes: file.slice(SETUP_HEADER, Math.min(end, HEADER_MOST)),
    code,
    payload: version >= VERSION.payload ? payloadOf(view, code) : null,
    load,
    initSize: Math.max(code.length, since(VERSION.preferred, view.getUint32(0x260, true), 0)),
    entry64: (xloadflags & XLF.kernel64) !== 0,
    fiveLevel: (xloadflags & XLF.fiveLevel) === XLF.fiveLevel,
    initrdMax: since(VERSION.initrdMax, view.getUint32(0x22c, true), DEFAULT_INITRD_MAX),
    commandLineMax: since(VERSION.commandLine, view.getUint32(0x238, true), DEFAULT_COMMAND_LINE_MAX),
  };
}

function payloadOf(view: DataView, code: Uint8Array): Uint8Array | null {
  const [offset, length] = [view.getUint32(0x248, true), view.getUint32(0x24c, true)];
  if (length === 0) return null;
  if (offset + length > code.length) {
    const whole = view.byteLength - code.length + offset + length;
    throw new KernelError("cut-short", `it is cut short: ${view.byteLength} bytes of at least ${whole}`);
  }
  // The last four bytes are the unpacked size.
  if (length <= 4) throw new KernelError("damaged", `its payload of ${length} bytes holds nothing`);
  return code.subarray(offset, offset + length);
}

const u64 = (view: DataView, at: number): number => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;

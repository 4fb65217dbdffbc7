import { KernelError } from "./error.js";

/** A part of a program and where it goes. */
export interface Segment {
  /** Guest-physical address, bytes. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Bytes in memory; the rest after `bytes` is zero. */
  readonly size: number;
}

/** An ELF file as far as a loader cares (System V ABI, chapters 4 and 5). */
export interface ElfImage {
  readonly bits: 32 | 64;
  /** e_machine: 3 is i386, 62 is x86-64. */
  readonly machine: number;
  readonly segments: readonly Segment[];
  /** Physical address of the entry point. */
  readonly entry: number;
  /** The contents of the PT_NOTE segments. */
  readonly notes: readonly Uint8Array[];
}

export const EM_386 = 3;
export const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;

export const isElf = (b: Uint8Array): boolean => b[0] === 0x7f && b[1] === 0x45 && b[2] === 0x4c && b[3] === 0x46;

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly virtual: number;
  readonly address: number;
  readonly bytes: number;
  readonly size: number;
}

/**
 * Reads the headers of an ELF file of either class. The file's bytes are not copied.
 * @throws {KernelError} if it is cut short, is a program for an operating system, or has nothing to load
 */
export function readElf(file: Uint8Array): ElfImage {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const short = (): KernelError => new KernelError("it is an ELF file that is cut short");
  const u64 = (at: number): number => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  const u32 = (at: number): number => view.getUint32(at, true);
  const bits = file[4] === 1 ? 32 : 64;
  if (file.length < (bits === 32 ? 52 : 64)) throw short();
  const [at, entrySize, count] =
    bits === 32
      ? [u32(28), view.getUint16(42, true), view.getUint16(44, true)]
      : [u64(32), view.getUint16(54, true), view.getUint16(56, true)];
  if (at + count * entrySize > file.length || (count > 0 && entrySize < (bits === 32 ? 32 : 56))) throw short();
  const header = (p: number): ProgramHeader =>
    bits === 32
      ? {
          type: u32(p),
          offset: u32(p + 4),
          virtual: u32(p + 8),
          address: u32(p + 12),
          bytes: u32(p + 16),
          size: u32(p + 20),
        }
      : {
          type: u32(p),
          offset: u64(p + 8),
          virtual: u64(p + 16),
          address: u64(p + 24),
          bytes: u64(p + 32),
          size: u64(p + 40),
        };

  const segments: Segment[] = [];
  const notes: Uint8Array[] = [];
  let entry = bits === 32 ? u32(24) : u64(24);
  for (let k = 0; k < count; k++) {
    const { type, offset, virtual, address, bytes, size } = header(at + k * entrySize);
    if (type === PT_INTERP) throw new KernelError("it is an ELF program, not a kernel");
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    if (offset + bytes > file.length) throw short();
    if (type === PT_NOTE) {
      notes.push(file.subarray(offset, offset + bytes));
      continue;
    }
    if (size === 0) continue;
    if (bytes > size) throw new KernelError("it is an ELF file with a segment larger in the file than in memory");
    // An entry point given as a virtual address is translated by the segment it lies in.
    if (entry >= virtual && entry < virtual + size && virtual !== address) entry = entry - virtual + address;
    segments.push({ address, bytes: file.subarray(offset, offset + bytes), size });
  }
  if (segments.length === 0) throw new KernelError("it is an ELF file with nothing to load");
  return { bits, machine: view.getUint16(18, true), segments, entry, notes };
}

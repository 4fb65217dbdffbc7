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
  /** Physical address of the entry point. @throws {KernelError} if it lies in no segment */
  readonly entry: () => number;
  /** The contents of the PT_NOTE segments, up to 1 MiB in all. */
  readonly notes: readonly Uint8Array[];
}

export const EM_386 = 3;
export const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;
/** e_phnum of a file whose program headers are counted elsewhere. */
const PN_XNUM = 0xffff;
/** Bytes of notes that are read. */
const NOTES_MAX = 2 ** 20;

export const isElf = (b: Uint8Array): boolean => b[0] === 0x7f && b[1] === 0x45 && b[2] === 0x4c && b[3] === 0x46;

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  /** Exact: a kernel's lies in the upper half. */
  readonly virtual: bigint;
  readonly address: number;
  readonly bytes: number;
  readonly size: number;
}

/**
 * Reads the headers of an ELF file of either class. The file's bytes are not copied.
 * @throws {KernelError} if it is cut short, is a program for an operating system, has nothing to load, or contradicts itself
 */
export function readElf(file: Uint8Array): ElfImage {
  const bits = file[4] === 1 ? 32 : 64;
  if (file.length < (bits === 32 ? 52 : 64)) throw cutShort();
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const segments: Segment[] = [];
  const virtuals: bigint[] = [];
  const notes: Uint8Array[] = [];
  let noteBytes = 0;
  for (const { type, offset, virtual, address, bytes, size } of programHeaders(view, bits)) {
    if (type === PT_INTERP) throw new KernelError("format", "it is an ELF program, not a kernel");
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    if (offset + bytes > file.length) throw cutShort();
    if (type === PT_NOTE) {
      noteBytes += bytes;
      if (noteBytes > NOTES_MAX) throw new KernelError("size", "it is an ELF file with more than 1 MiB of notes");
      notes.push(file.subarray(offset, offset + bytes));
      continue;
    }
    if (size === 0) continue;
    if (bytes > size)
      throw new KernelError("damaged", "it is an ELF file with a segment larger in the file than in memory");
    segments.push({ address, bytes: file.subarray(offset, offset + bytes), size });
    virtuals.push(virtual);
  }
  if (segments.length === 0) throw new KernelError("format", "it is an ELF file with nothing to load");
  const declared = bits === 32 ? BigInt(view.getUint32(24, true)) : view.getBigUint64(24, true);
  const entry = (): number => physicalEntry(declared, segments, virtuals);
  return { bits, machine: view.getUint16(18, true), segments, entry, notes };
}

/** @throws {KernelError} */
function* programHeaders(view: DataView, bits: 32 | 64): Generator<ProgramHeader> {
  const u32 = (at: number): number => view.getUint32(at, true);
  const u64 = (at: number): number => u32(at) + u32(at + 4) * 2 ** 32;
  const [table, entrySize, count] =
    bits === 32
      ? [u32(28), view.getUint16(42, true), view.getUint16(44, true)]
      : [u64(32), view.getUint16(54, true), view.getUint16(56, true)];
  if (count === PN_XNUM) throw new KernelError("size", "it is an ELF file with 65535 program headers or more");
  if (table + count * entrySize > view.byteLength) throw cutShort();
  if (count > 0 && entrySize < (bits === 32 ? 32 : 56)) {
    throw new KernelError("damaged", `it is an ELF file with program headers of ${entrySize} bytes`);
  }
  for (let k = 0; k < count; k++) {
    const at = table + k * entrySize;
    yield bits === 32
      ? {
          type: u32(at),
          offset: u32(at + 4),
          virtual: BigInt(u32(at + 8)),
          address: u32(at + 12),
          bytes: u32(at + 16),
          size: u32(at + 20),
        }
      : {
          type: u32(at),
          offset: u64(at + 8),
          virtual: view.getBigUint64(at + 16, true),
          address: u64(at + 24),
          bytes: u64(at + 32),
          size: u64(at + 40),
        };
  }
}

/** An entry point given as a virtual address is translated by the segment it lies in. @throws {KernelError} if it lies in none */
function physicalEntry(entry: bigint, segments: readonly Segment[], virtuals: readonly bigint[]): number {
  const within = (start: bigint, { size }: Segment): boolean => entry >= start && entry < start + BigInt(size);
  const virtual = segments.findIndex((segment, k) => within(virtuals[k] as bigint, segment));
  if (virtual >= 0) return (segments[virtual] as Segment).address + Number(entry - (virtuals[virtual] as bigint));
  if (segments.some((segment) => within(BigInt(segment.address), segment))) return Number(entry);
  throw new KernelError("damaged", `its entry point 0x${entry.toString(16)} lies outside of what it loads`);
}

const cutShort = (): KernelError => new KernelError("cut-short", "it is an ELF file that is cut short");

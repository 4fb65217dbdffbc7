import { Assembler, al, dx, eax } from "@vm/asm";

export const ORG = 0x100000;
const MAGIC = 0x1badb002;
const CODE_OFFSET = 4096;

/** The 12 bytes of a multiboot header. */
export function multibootHeader(flags = 0): Uint8Array {
  const header = new DataView(new ArrayBuffer(12));
  header.setUint32(0, MAGIC, true);
  header.setUint32(4, flags, true);
  header.setUint32(8, -(MAGIC + flags), true);
  return new Uint8Array(header.buffer);
}

/** An ELF note: owner, type, description. */
export function elfNote(name: string, type: number, description: Uint8Array): Uint8Array {
  const align = (n: number): number => Math.ceil(n / 4) * 4;
  const note = new Uint8Array(12 + align(name.length + 1) + align(description.length));
  const view = new DataView(note.buffer);
  view.setUint32(0, name.length + 1, true);
  view.setUint32(4, description.length, true);
  view.setUint32(8, type, true);
  note.set(new TextEncoder().encode(name), 12);
  note.set(description, 12 + align(name.length + 1));
  return note;
}

/** The note that asks for PVH at `entry`. */
export function pvhNote(entry: number, size: 4 | 8 = 4): Uint8Array {
  const description = new DataView(new ArrayBuffer(size));
  description.setUint32(0, entry, true);
  return elfNote("Xen", 18, new Uint8Array(description.buffer));
}

export interface ElfParts {
  readonly bits: 32 | 64;
  readonly code: Uint8Array;
  /** Where the code goes and starts; default {@link ORG}. */
  readonly address?: number;
  /** Bytes behind the program headers: a multiboot header. */
  readonly header?: Uint8Array;
  readonly note?: Uint8Array;
  /** Bytes of zeros behind the code. */
  readonly bss?: number;
  readonly machine?: number;
}

/** An ELF file with one segment of code and, if given, one of notes. */
export function elf(parts: ElfParts): Uint8Array {
  const { bits, code, address = ORG, header = new Uint8Array(0), note, bss = 4096 } = parts;
  const wide = bits === 64;
  const [ehdr, phdr] = wide ? [64, 56] : [52, 32];
  const headerAt = 256;
  const noteAt = 512;
  const file = new Uint8Array(CODE_OFFSET + code.length);
  const view = new DataView(file.buffer);
  const word = (at: number, value: number): void => view.setUint32(at, value, true);
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, parts.machine ?? (wide ? 62 : 3), true);
  word(24, address);
  word(wide ? 32 : 28, ehdr);
  view.setUint16(wide ? 54 : 42, phdr, true);
  view.setUint16(wide ? 56 : 44, note === undefined ? 1 : 2, true);
  const program = (k: number, type: number, offset: number, at: number, size: number, memory: number): void => {
    const p = ehdr + k * phdr;
    const fields = wide ? [8, 16, 24, 32, 40] : [4, 8, 12, 16, 20];
    word(p, type);
    [offset, at, at, size, memory].forEach((value, field) => {
      word(p + (fields[field] as number), value);
    });
  };
  program(0, 1, CODE_OFFSET, address, code.length, code.length + bss);
  if (note !== undefined) {
    program(1, 4, noteAt, 0, note.length, note.length);
    file.set(note, noteAt);
  }
  file.set(header, headerAt);
  file.set(code, CODE_OFFSET);
  return file;
}

/** Machine code of `bits` at `org`. */
export function assemble(bits: 16 | 32 | 64, write: (a: Assembler) => void, org = ORG): Uint8Array {
  const a = new Assembler({ org });
  a.bits = bits;
  write(a);
  return a.assemble();
}

/** A multiboot image of 32-bit code. */
export const multiboot = (write: (a: Assembler) => void, flags = 0): Uint8Array =>
  elf({ bits: 32, code: assemble(32, write), header: multibootHeader(flags) });

/** Ends the machine with `code`. */
export const debugExit = (a: Assembler, code: number): Assembler => a.mov(eax, code).mov(dx, 0xf4).out(dx, eax);

/** Writes a character on COM1. */
export const putChar = (a: Assembler, char: string): Assembler =>
  a.mov(dx, 0x3f8).mov(al, char.charCodeAt(0)).out(dx, al);

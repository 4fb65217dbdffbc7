import { BpfError, Btf } from "@vm/bpf-storage";
import { UsageError } from "../errors.js";
import { readFile } from "../read-file.js";

/** Bytes of a file with type information: a kernel with all it has for debuggers. */
const FILE_MOST = 2 ** 30;
const ELF = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
const SECTION = ".BTF";
/** `Elf64_Ehdr` and `Elf64_Shdr` (System V ABI), offsets in bytes. */
const [SHOFF, SHENTSIZE, SHNUM, SHSTRNDX] = [0x28, 0x3a, 0x3c, 0x3e];
const [SH_NAME, SH_OFFSET, SH_SIZE] = [0, 0x18, 0x20];

/** The types in a file: the bytes of a `.BTF`, as those of a kernel in /sys, or an ELF file of 64 bits that has one. @throws {UsageError} */
export async function readTypes(path: string): Promise<Btf> {
  const bytes = await readFile("file", path, { most: FILE_MOST, signal: new AbortController().signal });
  const isElf = ELF.every((byte, k) => bytes[k] === byte);
  const types = isElf ? btfSection(bytes) : bytes;
  if (types === null) throw new UsageError(`file ${path}: it has no section .BTF: expected an object compiled with -g`);
  try {
    return await Btf.parse(types);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    throw new UsageError(`file ${path}: ${error.message}: expected type information, or an object with a section .BTF`);
  }
}

/** The section of an ELF file; null if it has none, or it is not in the file. */
function btfSection(bytes: Uint8Array): Uint8Array | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const inside = (at: number, size: number): boolean => at >= 0 && size >= 0 && at + size <= bytes.length;
  const long = (at: number): number => Number(view.getBigUint64(at, true));
  if (!inside(0, SHSTRNDX + 2)) return null;
  const [table, size, count] = [long(SHOFF), view.getUint16(SHENTSIZE, true), view.getUint16(SHNUM, true)];
  const header = (index: number): number | null => {
    const at = table + index * size;
    return inside(at, SH_SIZE + 8) ? at : null;
  };
  const names = header(view.getUint16(SHSTRNDX, true));
  if (names === null) return null;
  for (let index = 0; index < count; index++) {
    const at = header(index);
    if (at === null) return null;
    const name = long(names + SH_OFFSET) + view.getUint32(at + SH_NAME, true);
    if (!inside(name, SECTION.length + 1)) continue;
    if (Buffer.from(bytes.subarray(name, name + SECTION.length + 1)).toString("latin1") !== `${SECTION}\0`) continue;
    const [offset, length] = [long(at + SH_OFFSET), long(at + SH_SIZE)];
    return inside(offset, length) ? bytes.subarray(offset, offset + length) : null;
  }
  return null;
}

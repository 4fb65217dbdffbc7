/** What a dropped file is for. */
export type FileKind = "kernel" | "initrd" | "image";

/** How many bytes from its start tell what a file is. */
export const KIND_BYTES = 0x206;

const begins = (head: Uint8Array, bytes: readonly number[], at = 0): boolean =>
  bytes.every((byte, k) => head[at + k] === byte);
const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));

/** A cpio archive, or what ram disks are packed with: gzip, xz, zstd, lz4, bzip2, lzma. */
const INITRD = [
  ascii("07070"),
  [0x1f, 0x8b],
  [0xfd, ...ascii("7zXZ"), 0],
  [0x28, 0xb5, 0x2f, 0xfd],
  [0x02, 0x21, 0x4c, 0x18],
  ascii("BZh"),
  [0x5d, 0, 0],
];

/** What a file is by its first {@link KIND_BYTES} bytes: a bzImage ("HdrS" of its setup header) or an ELF file, a ram disk, else a disk image. */
export function fileKind(head: Uint8Array): FileKind {
  if (begins(head, ascii("HdrS"), 0x202) || begins(head, [0x7f, ...ascii("ELF")])) return "kernel";
  return INITRD.some((bytes) => begins(head, bytes)) ? "initrd" : "image";
}

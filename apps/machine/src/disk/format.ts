import { DiskError } from "./error.js";

/** The formats that are read. */
export type DiskFormat = "raw" | "qcow2";
export const DISK_FORMATS: readonly DiskFormat[] = ["raw", "qcow2"];

/** How many bytes from the start of an image tell its format. */
export const PROBE_BYTES = 512;

interface Signature {
  readonly name: string;
  readonly at: number;
  readonly bytes: readonly number[];
  readonly todo: string;
}

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
const CONVERT = "'qemu-img convert -O qcow2' makes one that can";
const UNPACK = "unpack it first";

/** By what the formats that are not read are known. */
const OTHERS: readonly Signature[] = [
  { name: "qcow (version 1)", at: 0, bytes: [...ascii("QFI"), 0xfb, 0, 0, 0, 1], todo: CONVERT },
  { name: "QED", at: 0, bytes: [...ascii("QED"), 0], todo: CONVERT },
  { name: "VMDK", at: 0, bytes: ascii("KDMV"), todo: CONVERT },
  { name: "VMDK", at: 0, bytes: ascii("COWD"), todo: CONVERT },
  { name: "VMDK descriptor", at: 0, bytes: ascii("# Disk DescriptorFile"), todo: CONVERT },
  { name: "VDI", at: 64, bytes: [0x7f, 0x10, 0xda, 0xbe], todo: CONVERT },
  { name: "VHD", at: 0, bytes: ascii("conectix"), todo: CONVERT },
  { name: "VHDX", at: 0, bytes: ascii("vhdxfile"), todo: CONVERT },
  { name: "Parallels", at: 0, bytes: ascii("WithoutFreeSpace"), todo: CONVERT },
  { name: "Parallels", at: 0, bytes: ascii("WithouFreSpacExt"), todo: CONVERT },
  { name: "Bochs", at: 0, bytes: ascii("Bochs Virtual HD Image"), todo: CONVERT },
  { name: "cloop", at: 0, bytes: ascii("#!/bin/sh\n#V2.0 Format"), todo: CONVERT },
  { name: "LUKS", at: 0, bytes: [...ascii("LUKS"), 0xba, 0xbe], todo: "format=raw lets the guest unlock it" },
  { name: "Apple disk image", at: 0, bytes: ascii("koly"), todo: CONVERT },
  { name: "gzip-compressed", at: 0, bytes: [0x1f, 0x8b, 8], todo: UNPACK },
  { name: "xz-compressed", at: 0, bytes: [0xfd, ...ascii("7zXZ"), 0], todo: UNPACK },
  { name: "zstd-compressed", at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], todo: UNPACK },
  { name: "bzip2-compressed", at: 0, bytes: ascii("BZh"), todo: UNPACK },
  { name: "LZ4-compressed", at: 0, bytes: [0x04, 0x22, 0x4d, 0x18], todo: UNPACK },
  { name: "ZIP-compressed", at: 0, bytes: [...ascii("PK"), 3, 4], todo: UNPACK },
];

const has = (head: Uint8Array, { at, bytes }: Pick<Signature, "at" | "bytes">): boolean =>
  bytes.every((byte, k) => head[at + k] === byte);

/** Whether an image that begins so is qcow2, of whichever version but the first. */
export function isQcow2(head: Uint8Array): boolean {
  return has(head, { at: 0, bytes: [...ascii("QFI"), 0xfb] }) && !has(head, OTHERS[0] as Signature);
}

/**
 * The format of an image by its first {@link PROBE_BYTES} bytes: raw is what has none of the signatures.
 * @throws {DiskError} that names a format which is not read, and says what to do
 */
export function probeFormat(head: Uint8Array): DiskFormat {
  if (isQcow2(head)) return "qcow2";
  const other = OTHERS.find((signature) => has(head, signature));
  if (other === undefined) return "raw";
  const raw = other.name === "LUKS" ? "" : ", and format=raw takes it as it is";
  throw new DiskError("format", `its format is ${other.name}, which is not read: ${other.todo}${raw}`);
}

import { readFile } from "node:fs/promises";
import { type CpioEntry, packCpio } from "./cpio.js";

/** What goes into an initramfs besides the fixed tree. */
export interface InitramfsParts {
  /** A static busybox. */
  readonly busybox: Uint8Array;
  /** Kernel modules, uncompressed, by file name without `.ko`. */
  readonly modules: ReadonlyMap<string, Uint8Array>;
  /** The text of /init. */
  readonly init: string;
}

const DIRECTORIES = [
  "bin",
  "dev",
  "etc",
  "lib",
  "lib/modules",
  "mnt",
  "proc",
  "root",
  "run",
  "sbin",
  "sys",
  "tmp",
  "usr",
  "usr/bin",
  "usr/sbin",
];

/** The drivers the guest's /init can load, of virtio and of a TD's reports, each in the order the kernel needs them. */
export const MODULES = [
  ...["virtio_ring", "virtio", "virtio_mmio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"],
  ...["virtio_blk", "virtio-rng", "virtio_console"],
  ...["configfs", "tsm", "tdx-guest"],
] as const;

/** /etc/initrd-release, the file by which a ram disk says that it looks for a root (systemd, "The initrd Interface"). */
export const RELEASE = 'ID=vm-guests\nPRETTY_NAME="ram disk of the vm guests"\n';

/** The text of the /init this package ships. */
export function readInit(): Promise<string> {
  return readFile(new URL("../init.sh", import.meta.url), "utf8");
}

/** Packs the initramfs of the boot: uncompressed, because unpacking it would be the emulated CPU's work. */
export function packInitramfs(parts: InitramfsParts): Uint8Array {
  const entries: CpioEntry[] = DIRECTORIES.map((path) => ({
    path,
    type: "directory",
    mode: path === "tmp" ? 0o1777 : 0o755,
  }));
  entries.push({ path: "init", type: "file", mode: 0o755, data: new TextEncoder().encode(parts.init) });
  entries.push({ path: "etc/initrd-release", type: "file", data: new TextEncoder().encode(RELEASE) });
  entries.push({ path: "bin/busybox", type: "file", mode: 0o755, data: parts.busybox });
  entries.push({ path: "bin/sh", type: "symlink", target: "busybox" });
  for (const [name, data] of parts.modules) entries.push({ path: `lib/modules/${name}.ko`, type: "file", data });
  return packCpio(entries);
}

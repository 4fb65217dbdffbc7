import type { Disk } from "../disk.js";
import { DiskError } from "../error.js";
import { type DiskFormat, PROBE_BYTES, probeFormat } from "../format.js";
import { OverlayDisk } from "../overlay-disk.js";
import { RawDisk } from "../raw-disk.js";
import { FileStore } from "./file-store.js";
import { lockImage } from "./image-lock.js";

/** `rw`: the guest writes into the image. `ro`: it cannot write. `overlay`: what it writes stays in memory, see {@link OverlayDisk}. */
export type ImageMode = "rw" | "ro" | "overlay";
export const IMAGE_MODES: readonly ImageMode[] = ["rw", "ro", "overlay"];

export interface ImageOptions {
  /** Default `rw`. */
  readonly mode?: ImageMode;
  /**
   * Default: what the image itself says, raw if nothing. The guest of an image that was only guessed to be raw cannot write the header of
   * another format into it.
   */
  readonly format?: DiskFormat | undefined;
  /** Refuse an image that someone else writes, or has open if the guest is to write (default true). */
  readonly lock?: boolean;
}

/**
 * Opens a disk image in a file or a block device.
 *
 * @throws {DiskError} if it cannot be used, and what the host says if it cannot be opened
 * @example const disk = await openImage("debian.qcow2", { mode: "overlay" });
 */
export async function openImage(path: string, options: ImageOptions = {}): Promise<Disk> {
  const { mode = "rw", format, lock = true } = options;
  const readonly = mode !== "rw";
  const store = new FileStore(path, readonly);
  try {
    if (lock) lockImage(store, readonly ? "shared" : "exclusive");
    const head = new Uint8Array(PROBE_BYTES);
    await store.read(0, head);
    if ((format ?? probeFormat(head)) === "qcow2")
      throw new DiskError(
        "format",
        "its format is qcow2, which is not read: 'qemu-img convert -O raw' makes one that is",
      );
    const disk = new RawDisk(store, { guessed: format === undefined });
    return mode === "overlay" ? new OverlayDisk(disk) : disk;
  } catch (error) {
    await store.close();
    throw error;
  }
}

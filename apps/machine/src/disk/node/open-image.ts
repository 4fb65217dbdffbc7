import { dirname, resolve } from "node:path";
import type { Disk } from "../disk.js";
import { DiskError } from "../error.js";
import { DISK_FORMATS, type DiskFormat, PROBE_BYTES, probeFormat } from "../format.js";
import { OverlayDisk } from "../overlay-disk.js";
import { Qcow2Disk } from "../qcow2/qcow2-disk.js";
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

/** Backing files below an image, at most. */
const MOST_BACKING = 32;

/**
 * Opens a disk image in a file or a block device, with the backing files a qcow2 image names: relative names start where the image is.
 *
 * @throws {DiskError} if it cannot be used, and what the host says if it cannot be opened
 * @example const disk = await openImage("debian.qcow2", { mode: "overlay" });
 */
export async function openImage(path: string, { mode = "rw", format, lock = true }: ImageOptions = {}): Promise<Disk> {
  const disk = await openLayer({ path, readonly: mode !== "rw", format, lock, above: [] });
  disk.name = path;
  return mode === "overlay" ? new OverlayDisk(disk) : disk;
}

interface Layer {
  readonly path: string;
  readonly readonly: boolean;
  readonly format: DiskFormat | undefined;
  readonly lock: boolean;
  /** Identities of the images above. */
  readonly above: readonly string[];
}

async function openLayer({ path, readonly, format, lock, above }: Layer): Promise<Disk> {
  const store = new FileStore(path, readonly);
  try {
    if (above.includes(store.identity)) throw new DiskError("chain", "it is its own backing file");
    if (above.length > MOST_BACKING) throw new DiskError("chain", `it is behind ${MOST_BACKING} others`);
    if (lock) lockImage(store, readonly ? "shared" : "exclusive");
    const head = new Uint8Array(PROBE_BYTES);
    await store.read(0, head);
    if ((format ?? probeFormat(head)) === "raw") return new RawDisk(store, { guessed: format === undefined });
    if (!readonly && store.isDevice)
      throw new DiskError(
        "unsupported",
        "it is a qcow2 image in a block device, which is only read: use :ro or :overlay",
      );
    const next = { readonly: true, lock, above: [...above, store.identity] };
    return await Qcow2Disk.open(store, {
      openBacking: (name, said) => openBacking(dirname(path), name, said, next),
    });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** @throws {DiskError} that names the backing file */
async function openBacking(
  directory: string,
  name: string,
  said: string | null,
  next: Omit<Layer, "path" | "format">,
): Promise<Disk> {
  const format = DISK_FORMATS.find((known) => known === said);
  try {
    if (said !== null && format === undefined)
      throw new DiskError("format", `its format is said to be ${JSON.stringify(said)}`);
    const [, protocol, rest = name] = PROTOCOL.exec(name) ?? [];
    if (protocol !== undefined && protocol !== "file")
      throw new DiskError("unsupported", `it is reached by ${JSON.stringify(protocol)}, and only files are`);
    return await openLayer({ ...next, path: resolve(directory, rest), format });
  } catch (error) {
    const { code } = error as Partial<DiskError>;
    const why = error instanceof Error ? error.message : String(error);
    throw new DiskError(
      error instanceof DiskError && code ? code : "unusable",
      `its backing file ${JSON.stringify(name)}: ${why}`,
      {
        cause: error,
      },
    );
  }
}

/** As in QEMU a name whose first colon comes before its first slash begins with a protocol. */
const PROTOCOL = /^([^/:]+):(.*)$/s;

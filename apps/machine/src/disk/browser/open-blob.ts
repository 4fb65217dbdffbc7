import type { ByteStore } from "../byte-store.js";
import type { Disk } from "../disk.js";
import { DiskError } from "../error.js";
import { type DiskFormat, PROBE_BYTES, probeFormat } from "../format.js";
import { OverlayDisk } from "../overlay-disk.js";
import { createQcow2 } from "../qcow2/create.js";
import { type Backing, Qcow2Disk } from "../qcow2/qcow2-disk.js";
import { RawDisk } from "../raw-disk.js";
import { type BlobSource, BlobStore } from "./blob-store.js";

export interface BlobImageOptions {
  /** Default: what the image itself says, raw if nothing. */
  readonly format?: DiskFormat | undefined;
  /**
   * `ro`: the guest cannot write. `overlay` (default): what it writes stays in memory. A store: what it writes goes there, as a qcow2 image over this one, and is
   * found again when the store is given with the same image the next time; an empty store is made one. It is closed with the disk, and by the caller if opening fails.
   */
  readonly writes?: "ro" | "overlay" | ByteStore | undefined;
}

/** Bytes that a qcow2 image in a page is ahead of what is written: a page is left without a word, and what was reserved then is lost. */
const RESERVE = 2 ** 20;
/** The name by which what was written knows the image it belongs to. */
const BASE = "base";

/**
 * Opens a disk image in a `Blob`, such as a file the user chose: raw or qcow2. The blob itself is never written.
 * @throws {DiskError} if the image cannot be used, or the store holds what was written over an image of another size
 * @example const disk = await openBlob(input.files[0], { writes: await OpfsStore.open("written.qcow2") });
 */
export async function openBlob(blob: BlobSource, { format, writes = "overlay" }: BlobImageOptions = {}): Promise<Disk> {
  const base = await openReadonly(new BlobStore(blob), format);
  if (writes === "ro") return base;
  if (writes === "overlay") return new OverlayDisk(base);
  return openOver(base, writes);
}

async function openReadonly(store: BlobStore, format: DiskFormat | undefined): Promise<Disk> {
  const head = new Uint8Array(PROBE_BYTES);
  await store.read(0, head);
  return (format ?? probeFormat(head)) === "raw" ? new RawDisk(store) : Qcow2Disk.open(store);
}

async function openOver(base: Backing, store: ByteStore): Promise<Disk> {
  if (store.size === 0) await createQcow2(store, { sectors: base.sectors, backing: { name: BASE, format: "raw" } });
  const disk = await Qcow2Disk.open(store, { openBacking: async () => base, reserve: RESERVE });
  if (disk.sectors !== base.sectors)
    throw new DiskError(
      "unusable",
      `what was written is of a disk of ${disk.sectors} sectors, the image has ${base.sectors}`,
    );
  return disk;
}

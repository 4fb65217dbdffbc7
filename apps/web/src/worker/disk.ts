import { type BlockBackend, DiskError, MemoryDisk, RawDisk } from "@vm/machine";
import { OpfsStore, openBlob, originFiles } from "@vm/machine/browser";
import { DISK_FOLDER, KEPT_DISK, writesName } from "../disk-names.js";
import type { DiskSource } from "../protocol.js";

export type OpenedDisk = BlockBackend & { close(): Promise<void> };

/** How long a file may still be open in a Worker of a page that is just being left, ms, and how often it is tried. */
const PATIENCE_MS = 1500;
const RETRY_MS = 50;

/**
 * Opens the disk, null for none. Where the browser keeps no files it is in memory, and `notice` hears so.
 * @throws what says why it cannot be used
 */
export async function openDisk(source: DiskSource, notice: (sentence: string) => void): Promise<OpenedDisk | null> {
  if (source.kind === "none") return null;
  const store = await openStore(source.kind === "kept" ? KEPT_DISK : writesName(source.file), notice);
  try {
    if (source.kind === "image") return await openBlob(source.file, { writes: store ?? "overlay" });
    if (store === null) return new MemoryDisk(source.bytes);
    if (store.size === 0) await store.truncate(source.bytes);
    return new RawDisk(store);
  } catch (error) {
    await store?.close();
    const what = source.kind === "image" ? `the image ${source.file.name}` : "the disk";
    throw error instanceof DiskError
      ? new DiskError(error.code, `${what} cannot be used: ${error.message}`, { cause: error })
      : error;
  }
}

async function openStore(name: string, notice: (sentence: string) => void): Promise<OpfsStore | null> {
  try {
    const top = (await originFiles()) as FileSystemDirectoryHandle;
    const directory = await top.getDirectoryHandle(DISK_FOLDER, { create: true });
    return await patiently(() => OpfsStore.open(name, { directory }));
  } catch (error) {
    if (error instanceof DiskError && error.code === "busy")
      throw new DiskError("busy", "the disk is open in another tab: stop the machine there first", { cause: error });
    if (!(error instanceof DiskError) || error.code !== "unsupported") throw error;
    notice(
      "This browser keeps no files for this page: what the guest writes stays in memory and is gone with the page.",
    );
    return null;
  }
}

/** A page that is reloaded leaves a Worker behind that has the file for a moment more. */
async function patiently<T>(open: () => Promise<T>): Promise<T> {
  for (const until = performance.now() + PATIENCE_MS; ; ) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== "busy" || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

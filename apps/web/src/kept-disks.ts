import { DISK_FOLDER } from "./disk-names.js";

/** A file that the browser keeps for the page. */
export interface KeptDisk {
  readonly name: string;
  /** Bytes, holes included. */
  readonly size: number;
}

/** The folder of the disks, null where the browser keeps no files for the page or there are none yet. */
async function folder(): Promise<FileSystemDirectoryHandle | null> {
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(DISK_FOLDER);
  } catch {
    return null;
  }
}

/** What is kept, by name; a disk for which there was no room is none. */
export async function keptDisks(): Promise<readonly KeptDisk[]> {
  const found: KeptDisk[] = [];
  for await (const handle of (await folder())?.values() ?? []) {
    if (!(handle instanceof FileSystemFileHandle)) continue;
    const { size } = await handle.getFile();
    if (size > 0) found.push({ name: handle.name, size });
  }
  return found.sort((a, b) => a.name.localeCompare(b.name));
}

/** A kept disk as a file. @throws what the browser says if it is not there */
export async function keptFile(name: string): Promise<File> {
  const handle = await (await folder())?.getFileHandle(name);
  if (handle === undefined) throw new Error("the disk is not there any more");
  return handle.getFile();
}

/** Deletes a kept disk. @throws what the browser says if a machine has it open */
export async function forgetDisk(name: string): Promise<void> {
  await (await folder())?.removeEntry(name);
}

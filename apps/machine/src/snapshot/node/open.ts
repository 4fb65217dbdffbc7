import { type ReadOptions, Snapshot } from "../snapshot.js";
import { FolderSource } from "./folder-source.js";

/**
 * Opens the snapshot in a folder, without changing anything of it.
 * @throws {SnapshotError} see {@link Snapshot.read}
 * @example const { state, memslots } = await openSnapshot("booted");
 */
export const openSnapshot = (path: string, options?: ReadOptions): Promise<Snapshot> =>
  Snapshot.read(new FolderSource(path), options);

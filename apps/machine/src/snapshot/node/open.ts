import { HttpSource } from "../http-source.js";
import { type ReadOptions, Snapshot } from "../snapshot.js";
import type { SnapshotSource } from "../source.js";
import { FolderSource } from "./folder-source.js";

/** The folder of a snapshot, by its path or its URL. */
export const sourceOf = (place: string, options: Pick<ReadOptions, "signal">): SnapshotSource =>
  /^https?:\/\//i.test(place) ? new HttpSource(place, options) : new FolderSource(place);

/**
 * Opens the snapshot in a folder, or at an `http:` or `https:` URL of one, without changing anything of it.
 * @throws {SnapshotError} see {@link Snapshot.read}
 * @example const { state, memslots } = await openSnapshot("booted");
 */
export const openSnapshot = (place: string, options: ReadOptions = {}): Promise<Snapshot> =>
  Snapshot.read(sourceOf(place, options), options);

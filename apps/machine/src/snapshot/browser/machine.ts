import { HttpSource } from "../http-source.js";
import { type LoadSnapshotOptions, loadFrom } from "../load.js";
import type { StoredSnapshot } from "../pieces.js";
import { DirectorySource, type SnapshotDirectory } from "./directory-source.js";

export interface LoadPageSnapshotOptions extends LoadSnapshotOptions {
  /** The directory that the snapshot's lies in, where its parents are looked for; for one that has parents and is given by a handle. */
  readonly around?: SnapshotDirectory | undefined;
}

/**
 * Opens the snapshot at a URL, where a web server has the files of one, or in a directory of the browser's: one of the origin's private file system, or one that the
 * user has picked. Nothing of it is changed, and any number of machines can go on from it. A page that is asked of another origin needs that one's leave (CORS), and its
 * `Content-Range` and `ETag` exposed.
 * @throws {SnapshotError}
 * @example const machine = await createMachine({ snapshot: await loadSnapshot("https://example.org/booted", { lazy: true }) });
 */
export function loadSnapshot(
  place: string | URL | SnapshotDirectory,
  { around, ...options }: LoadPageSnapshotOptions = {},
): Promise<StoredSnapshot> {
  const isUrl = typeof place === "string" || place instanceof URL;
  return loadFrom(isUrl ? new HttpSource(`${place}`, options) : new DirectorySource(place, around), options);
}

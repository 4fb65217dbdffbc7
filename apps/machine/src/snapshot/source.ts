import type { ByteStore } from "../disk/byte-store.js";

/** A file of a snapshot: what it says is read, never written. A {@link ByteStore} is one. */
export type SnapshotFile = Pick<ByteStore, "size" | "read" | "close">;

/** The folder of a snapshot, wherever it is: a file system, a web server, an array. */
export interface SnapshotSource {
  /** As messages call it. */
  readonly name: string;
  /**
   * Opens a file of the folder. It goes on being the file that it was, if another takes its name.
   * @throws {SnapshotError} "absent" if it is not there, "foreign" if it is a link, a FIFO or anything but a file; else what the host says
   */
  open(file: string): Promise<SnapshotFile>;
  /**
   * A folder beside this one.
   * @param name without any path
   * @throws {SnapshotError} "absent", "foreign" if it is no folder
   */
  beside(name: string): Promise<SnapshotSource>;
}

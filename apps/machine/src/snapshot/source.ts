import type { ByteStore } from "../disk/byte-store.js";

/** A file of a snapshot: what it says is read, never written. A {@link ByteStore} is one. */
export interface SnapshotFile extends Pick<ByteStore, "size" | "read" | "close"> {
  /** As `read`, at once, where the host can. */
  readNow?(offset: number, dst: Uint8Array): number;
}

/** The folder of a snapshot, wherever it is: a file system, a web server, an array. */
export interface SnapshotSource {
  /** As messages call it. */
  readonly name: string;
  /**
   * Opens a file of the folder. It goes on being the file that it was, if another takes its name.
   * @param first bytes at its beginning that are going to be read, for who can get them together with it
   * @throws {SnapshotError} "absent" if it is not there, "foreign" if it is a link, a FIFO or anything but a file; else what the host says
   */
  open(file: string, first?: number): Promise<SnapshotFile>;
  /**
   * A folder beside this one.
   * @param name without any path
   * @throws {SnapshotError} "absent", "foreign" if it is no folder
   */
  beside(name: string): Promise<SnapshotSource>;
}

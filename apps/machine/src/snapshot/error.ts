/** Why a snapshot cannot be written, opened or read on. */
export type SnapshotErrorCode =
  /** Nothing is there, or a write that never came to its end. */
  | "absent"
  /** What is there is no snapshot: another file or folder, a link, a FIFO, a device. */
  | "foreign"
  /** It was made by a newer version. */
  | "newer"
  /** A file is shorter or longer than the snapshot says. */
  | "size"
  /** Bytes are not those of their checksum, or the snapshot contradicts itself. */
  | "corrupt"
  /** It asks for more than is accepted. */
  | "limit"
  /** A parent is missing, is another one, or is named by anything but a folder beside. */
  | "parent"
  /** The chain of parents is too long or comes back to itself. */
  | "chain"
  /** Memory: memslots that overlap, pages or chunks outside of them, or out of order. */
  | "range"
  /** The state or the meta data holds a value that cannot be stored. */
  | "state"
  /** Someone else is writing this snapshot. */
  | "busy"
  /** The disk, or the quota, is full. */
  | "full"
  /** Not allowed there: a read-only file system or folder. */
  | "readonly"
  /** A web server does not let it be read. Many say so of what is not there. */
  | "forbidden"
  /** The host failed in another way, see `cause`. */
  | "io";

/** A snapshot cannot be written, opened or read on. The message names the folder or file, what is wrong, and what would be accepted. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";

  constructor(
    readonly code: SnapshotErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * What an image is kept in: bytes in a row. Ten lines on top of a file of Node, a `FileSystemSyncAccessHandle` or an array make one. Offsets and sizes are
 * bytes below 2^53. Rejecting is an I/O error. Calls may overlap, and finish in any order.
 */
export interface ByteStore {
  readonly readonly: boolean;
  /** Bytes there are now, whatever is under way not counted. */
  readonly size: number;
  /** Fills `dst` from `offset` on; resolves with the number of bytes there were, less than asked only at the end. */
  read(offset: number, dst: Uint8Array): Promise<number>;
  /** Stores all of `src` at `offset`, beyond the end as well. `src` is the store's until it is done. */
  write(offset: number, src: Uint8Array): Promise<void>;
  /** Cuts it off at `size`, or makes it that long with zeros. Nothing else may be under way. */
  truncate(size: number): Promise<void>;
  /** Makes every write that had finished when it was called durable. */
  flush(): Promise<void>;
  /**
   * Text that is another whenever the bytes are others: size and time of the last change, so that a copy which keeps its times has the same. Absent: that cannot be told.
   */
  version?(): Promise<string>;
  /** Waits for what is under way and lets go. */
  close(): Promise<void>;
}

/**
 * Objects of the host that own storage: its tasks, inodes, sockets or cgroups. The host keeps, for each, a word in the arena for the pointer to its
 * storage, its *cell*, and calls `LocalStorages.release` when the object is freed.
 */
export interface Owners {
  /** The cell of the object at the pointer `hi:lo`; 0 if there is no such object. */
  readonly cell: (lo: number, hi: number) => number;
  /** Bytes from an object to its cell, where the objects themselves lie in the arena. Generated code then finds the cell by itself. */
  readonly cellOffset?: number;
  /** Whether a cell has 64 bits: a pointer in a structure of the host's, which its programs read too. Default: 32. */
  readonly wide?: boolean;
  /** Whether an object may get new storage: its reference count is not 0. */
  readonly live: (cell: number) => boolean;
  /** The cell of the object that a file descriptor of the caller stands for; or a negative errno. */
  readonly fromFd: (fd: number) => number;
  /** Asks for memory on account of an object; false: it has no more to give. Absent: nothing is charged. */
  readonly charge?: (cell: number, bytes: number) => boolean;
  readonly uncharge?: (cell: number, bytes: number) => void;
}

/** Bytes of guest memory that are stored, checked and fetched as one; a chunk's number is its first guest-physical byte divided by this. */
export const CHUNK_BYTES = 65536;
/** What this code writes, and the newest it reads. */
export const VERSION = 1;

/** Name of the file with everything but memory. Replacing it is what replaces a snapshot. */
export const HEAD_NAME = "snapshot";
/** Names of pack files: the stored chunks one behind the other. */
export const PACK_NAME = /^chunks-([1-9][0-9]{0,14})$/;
/** The head while it is being written. */
export const NEW_HEAD_NAME = "snapshot.new";

/** Name of the file, which need not be there, that says which chunks a machine needs first. */
export const WORKING_SET_NAME = "working-set";

/** How the bytes of a content are stored. `parent`: not here, but in a parent. */
export const CODECS = ["parent", "raw", "deflate", "zstd"] as const;
export type Codec = (typeof CODECS)[number];

/** What is accepted at most. Everything that is allocated for a snapshot is bounded by these and by the sizes of its files. */
export const LIMITS = {
  /** Bytes of the manifest. */
  manifest: 2 ** 20,
  /** Bytes of the encoded state. */
  state: 2 ** 26,
  /** Values in the state, and in the manifest. */
  values: 2 ** 18,
  /** Levels of arrays and objects in them. */
  depth: 64,
  /** Chunks that are not zero: 16 GiB of them. */
  chunks: 2 ** 18,
  memslots: 1024,
  /** Bytes of all memslots. */
  memory: 2 ** 36,
  /** Guest-physical addresses are below. */
  address: 2 ** 48,
  /** Parents one behind the other. */
  parents: 16,
  /** Bytes of the working set. */
  workingSet: 2 ** 22,
  /** Bytes of a folder's name. */
  name: 255,
} as const;

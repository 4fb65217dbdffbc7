export { type BlobSource, BlobStore } from "./disk/browser/blob-store.js";
export { type BlobImageOptions, openBlob } from "./disk/browser/open-blob.js";
export {
  type DirectoryHandle,
  type FileHandle,
  type OpfsOptions,
  OpfsStore,
  originFiles,
  type SyncAccessHandle,
} from "./disk/browser/opfs-store.js";
export type { SnapshotDirectory } from "./snapshot/browser/directory-source.js";
export { type LoadPageSnapshotOptions, loadSnapshot } from "./snapshot/browser/machine.js";
export { SnapshotError, type SnapshotErrorCode } from "./snapshot/error.js";
export type { LoadSnapshotOptions } from "./snapshot/load.js";
export type { StoredSnapshot } from "./snapshot/pieces.js";

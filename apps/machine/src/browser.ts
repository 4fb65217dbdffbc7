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

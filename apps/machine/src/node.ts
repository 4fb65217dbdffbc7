export { FileStore } from "./disk/node/file-store.js";
export { type ImageMode, type ImageOptions, openImage } from "./disk/node/open-image.js";
export { SnapshotError, type SnapshotErrorCode } from "./snapshot/error.js";
export type { LoadSnapshotOptions } from "./snapshot/load.js";
export { loadSnapshot, type SaveSnapshotOptions, saveSnapshot, saveWorkingSet } from "./snapshot/node/machine.js";
export type { WrittenSnapshot } from "./snapshot/node/write.js";
export type { StoredSnapshot } from "./snapshot/pieces.js";
export type { SnapshotWork } from "./snapshot/snapshot.js";

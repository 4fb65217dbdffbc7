export { FileStore } from "./disk/node/file-store.js";
export { type ImageMode, type ImageOptions, openImage } from "./disk/node/open-image.js";

export { guestCacheDir } from "./cache.js";
export { type CpioEntry, CpioError, type CpioErrorCode, packCpio } from "./cpio.js";
export { type Distro, type DistroOptions, ensureDistro, findDistro } from "./distro.js";
export { GuestError, type GuestErrorCode } from "./errors.js";
export { type EnsureOptions, ensureGuests, type GuestProgress, type Guests } from "./guests.js";
export { cachedImages, ensureImages, type Images, type ImagesOptions } from "./images.js";
export { type InitramfsParts, MODULES, packInitramfs, readInit } from "./initramfs.js";
export { type ProgressSink, progressLine } from "./progress.js";
export { SERIES, type Series } from "./resolve.js";

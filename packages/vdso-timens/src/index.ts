export { ClockId, type Timespec } from "./clocks.js";
export { type Errno, LinuxError, VdsoError } from "./errors.js";
export { type VdsoImage, type VdsoOptions, vdsoImage } from "./image/image.js";
export { ClockMode, VVAR_ABIS, type VvarAbi, type VvarAbiName, type VvarPage } from "./vvar/abi.js";
export { type PageStore, pageStore } from "./vvar/store.js";
export {
  type Base,
  fillNamespacePage,
  type Offsets,
  type Scale,
  TimePage,
  type TimeReading,
  type Zone,
} from "./vvar/time-page.js";

export { ClockId, type Timespec } from "./clocks.js";
export { type Errno, LinuxError, VdsoError, type VdsoErrorCode } from "./errors.js";
export { type VdsoImage, type VdsoOptions, vdsoImage } from "./image/image.js";
export {
  type Insertion,
  type VvarFaultDesc,
  type VvarPages,
  vvarFault,
  zapOnSwitch,
} from "./mapping/fault.js";
export {
  checkMadvise,
  checkMunmap,
  checkProcessVm,
  checkProcMem,
  Mremap,
  mprotect,
  mremap,
  type Part,
} from "./mapping/rules.js";
export { type SpecialMapping, specialMappings, VmFlag, vmFlagsText } from "./mapping/special-mapping.js";
export { CloneFlag, TimeCalls, type TimeCallsDesc } from "./namespace/calls.js";
export { Inodes } from "./namespace/inodes.js";
export { NsIoctl, nsFile, nsIoctl } from "./namespace/ns-file.js";
export {
  KTIME_SEC_MAX,
  type OffsetLine,
  type OffsetsWrite,
  parseOffsets,
  printOffsets,
} from "./namespace/offsets.js";
export { TIMENS_OFFSETS_MODE, TimensOffsetsFile, Whence } from "./namespace/offsets-file.js";
export {
  Capability,
  type Cred,
  type HostClocks,
  type InodeNumbers,
  type NamespacePage,
  type NsProxy,
  type Task,
  type UserNamespace,
} from "./namespace/ports.js";
export { CLONE_NEWTIME, KTIME_MAX, TimeNamespace, type TimeNamespaceState } from "./namespace/time-namespace.js";
export { TIME_INIT_INO, TimeNamespaces, type TimeNamespacesDesc } from "./namespace/time-namespaces.js";
export { ABSTIME, Futex, type TimedCall, timeToHost } from "./namespace/timers.js";
export {
  MAX_RATE,
  MAX_TIME,
  MIN_RATE,
  VmClock,
  type VmClockDesc,
  VmClockError,
  type VmClockErrorCode,
  type VmClockState,
} from "./vm-clock.js";
export { ClockMode, VVAR_ABIS, type VvarAbi, type VvarAbiName, type VvarPage } from "./vvar/abi.js";
export { type PvclockInfo, PvclockPage } from "./vvar/pvclock.js";
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

export {
  LockAssertionError,
  type LockAssertionErrorCode,
  LockdepError,
  LockUsageError,
  type LockUsageErrorCode,
} from "./errors.js";
export { LockClass, type LockClassOptions, MAX_SUBCLASSES } from "./lock-class.js";
export { type AcquireOptions, LockMap } from "./lock-map.js";
export { type Dependency, Lockdep, type LockdepOptions, throwReport } from "./lockdep.js";
export {
  EXCLUSIVE,
  type Mode,
  RECURSIVE,
  SHARED,
  WAIT_CONFIG,
  WAIT_SLEEP,
  WAIT_SPIN,
  WAIT_UNCHECKED,
  type WaitType,
} from "./mode.js";
export { Mutex } from "./mutex.js";
export type { Report, ReportKind, ReportStyle } from "./report.js";
export { RwSemaphore } from "./rw-semaphore.js";
export { RwSpinLock, type RwSpinLockOptions } from "./rw-spin-lock.js";
export { SpinLock, type SpinLockOptions } from "./spin-lock.js";
export { Srcu, type SrcuToken } from "./srcu.js";
export { captureStack, type Entry, type Stack } from "./stack.js";
export type { Synchronous } from "./synchronous.js";
export { type HeldLock, Task } from "./task.js";
export { type Deadlock, type DeadlockLink, findDeadlock, type Wait } from "./wait-for.js";

import { LockClass, Lockdep, RwSemaphore, Task } from "@vm/lockdep";

const lockdep = new Lockdep({ onReport: (report) => console.log(report.title) });
const mmapLock = new RwSemaphore(lockdep, new LockClass("mmap_lock"));
const invalidateLock = new RwSemaphore(lockdep, new LockClass("invalidate_lock"));

const populate = new Task(lockdep, "populate");
await invalidateLock.write(populate, () => mmapLock.read(populate, () => "copy a page in"));

const fault = new Task(lockdep, "fault");
await mmapLock.read(fault, () => invalidateLock.read(fault, () => "map a page"));

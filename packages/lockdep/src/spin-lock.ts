import { LockUsageError } from "./errors.js";
import type { LockClass } from "./lock-class.js";
import { type AcquireOptions, LockMap } from "./lock-map.js";
import type { Lockdep } from "./lockdep.js";
import { EXCLUSIVE, WAIT_CONFIG, WAIT_SPIN } from "./mode.js";
import type { Entry } from "./stack.js";
import type { Synchronous } from "./synchronous.js";
import type { Task } from "./task.js";

export interface SpinLockOptions {
  /** Whether it is a raw_spinlock_t, in which no spinlock_t may be taken. */
  readonly raw?: boolean;
}

/**
 * A lock for sections without an await (kernel: spinlock_t). On one thread nobody can see it taken unless its owner awaited; that is what
 * the validator reports, and what a second task is told by exception instead of spinning for ever.
 */
export class SpinLock extends LockMap {
  #owner: Task | undefined;

  constructor(lockdep: Lockdep, lockClass: LockClass, options: SpinLockOptions = {}) {
    super(lockdep, lockClass, options.raw ? WAIT_SPIN : WAIT_CONFIG);
  }

  /** @throws LockUsageError if it is taken. */
  lock(task: Task, options?: AcquireOptions): void {
    this.#take(task, this.lock, options);
  }

  /** Takes the lock if nobody has it; makes no dependency to it. */
  tryLock(task: Task): boolean {
    if (this.#owner !== undefined) return false;
    if (this.lockdep.active) this._acquire(task, EXCLUSIVE, true, this.tryLock, undefined);
    this.#owner = task;
    return true;
  }

  /** @throws LockUsageError if `task` does not have the lock. */
  unlock(task: Task): void {
    if (this.lockdep.active) this.lockdep._release(task, this, this.unlock);
    if (this.#owner !== task)
      throw new LockUsageError(
        "release",
        `${task} unlocks ${this.lockdep.describe(this)}, of ${this.#owner ?? "nobody"}`,
      );
    this.#owner = undefined;
  }

  /** Runs `body`, which must not await, with the lock. */
  run<T>(task: Task, body: () => Synchronous<T>, options?: AcquireOptions): T {
    this.#take(task, this.run, options);
    try {
      return body() as T;
    } finally {
      this.unlock(task);
    }
  }

  #take(task: Task, entry: Entry, options: AcquireOptions | undefined): void {
    if (this.lockdep.active) this._acquire(task, EXCLUSIVE, false, entry, options);
    if (this.#owner !== undefined)
      throw new LockUsageError(
        "spin",
        `${task} would spin for ever on ${this.lockdep.describe(this)}, held by ${this.#owner}`,
      );
    this.#owner = task;
  }

  override _holders(): readonly Task[] {
    return this.#owner === undefined ? [] : [this.#owner];
  }
}

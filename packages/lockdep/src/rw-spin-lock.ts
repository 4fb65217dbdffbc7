import { LockUsageError } from "./errors.js";
import type { LockClass } from "./lock-class.js";
import { type AcquireOptions, LockMap } from "./lock-map.js";
import type { Lockdep } from "./lockdep.js";
import { EXCLUSIVE, type Mode, RECURSIVE, SHARED, WAIT_CONFIG } from "./mode.js";
import { removeLast } from "./remove.js";
import type { Entry } from "./stack.js";
import type { Synchronous } from "./synchronous.js";
import type { Task } from "./task.js";

export interface RwSpinLockOptions {
  /**
   * Whether a reader may take it shared once more. Default false, as in the kernel's queued rwlock outside interrupts, where a waiting
   * writer keeps new readers out.
   */
  readonly recursiveRead?: boolean;
}

/** A lock for sections without an await that many tasks have shared or one exclusively (kernel: rwlock_t). */
export class RwSpinLock extends LockMap {
  #writer: Task | undefined;
  readonly #readers: Task[] = [];
  readonly #readMode: Mode;

  constructor(lockdep: Lockdep, lockClass: LockClass, options: RwSpinLockOptions = {}) {
    super(lockdep, lockClass, WAIT_CONFIG);
    this.#readMode = options.recursiveRead ? RECURSIVE : SHARED;
  }

  /** @throws LockUsageError if a writer has it. */
  readLock(task: Task, options?: AcquireOptions): void {
    this.#takeShared(task, this.readLock, options);
  }

  /** @throws LockUsageError if anybody has it. */
  writeLock(task: Task, options?: AcquireOptions): void {
    this.#takeExclusive(task, this.writeLock, options);
  }

  /** Takes the lock shared if no writer has it; makes no dependency to it. */
  tryReadLock(task: Task): boolean {
    if (this.#writer !== undefined) return false;
    if (this.lockdep.active) this._acquire(task, this.#readMode, true, this.tryReadLock, undefined);
    this.#readers.push(task);
    return true;
  }

  /** Takes the lock exclusively if nobody has it; makes no dependency to it. */
  tryWriteLock(task: Task): boolean {
    if (this.#writer !== undefined || this.#readers.length > 0) return false;
    if (this.lockdep.active) this._acquire(task, EXCLUSIVE, true, this.tryWriteLock, undefined);
    this.#writer = task;
    return true;
  }

  /** @throws LockUsageError if `task` does not have the lock shared. */
  readUnlock(task: Task): void {
    if (this.lockdep.active) this.lockdep._release(task, this, this.readUnlock);
    if (!removeLast(this.#readers, task)) throw this.#misuse(task, "shared");
  }

  /** @throws LockUsageError if `task` does not have the lock exclusively. */
  writeUnlock(task: Task): void {
    if (this.lockdep.active) this.lockdep._release(task, this, this.writeUnlock);
    if (this.#writer !== task) throw this.#misuse(task, "exclusively");
    this.#writer = undefined;
  }

  /** Runs `body`, which must not await, with the lock shared. */
  read<T>(task: Task, body: () => Synchronous<T>, options?: AcquireOptions): T {
    this.#takeShared(task, this.read, options);
    try {
      return body() as T;
    } finally {
      this.readUnlock(task);
    }
  }

  /** Runs `body`, which must not await, with the lock exclusively. */
  write<T>(task: Task, body: () => Synchronous<T>, options?: AcquireOptions): T {
    this.#takeExclusive(task, this.write, options);
    try {
      return body() as T;
    } finally {
      this.writeUnlock(task);
    }
  }

  #takeShared(task: Task, entry: Entry, options: AcquireOptions | undefined): void {
    if (this.lockdep.active) this._acquire(task, this.#readMode, false, entry, options);
    if (this.#writer !== undefined) throw this.#spinning(task);
    this.#readers.push(task);
  }

  #takeExclusive(task: Task, entry: Entry, options: AcquireOptions | undefined): void {
    if (this.lockdep.active) this._acquire(task, EXCLUSIVE, false, entry, options);
    if (this.#writer !== undefined || this.#readers.length > 0) throw this.#spinning(task);
    this.#writer = task;
  }

  #spinning(task: Task): LockUsageError {
    return new LockUsageError(
      "spin",
      `${task} would spin for ever on ${this.lockdep.describe(this)}, held by ${this._holders().join(", ")}`,
    );
  }

  #misuse(task: Task, how: string): LockUsageError {
    const holders = this._holders().join(", ") || "nobody";
    return new LockUsageError(
      "release",
      `${task} releases ${this.lockdep.describe(this)}, held ${how}; it is held by ${holders}`,
    );
  }

  override _holders(): readonly Task[] {
    return this.#writer === undefined ? this.#readers : [this.#writer];
  }
}

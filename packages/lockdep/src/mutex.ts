import { DONE } from "./done.js";
import { LockUsageError } from "./errors.js";
import type { LockClass } from "./lock-class.js";
import { type AcquireOptions, LockMap } from "./lock-map.js";
import type { Lockdep } from "./lockdep.js";
import { EXCLUSIVE, WAIT_SLEEP } from "./mode.js";
import type { Entry } from "./stack.js";
import type { Task } from "./task.js";

/** A lock one task at a time has; the others wait and get it in the order in which they came. */
export class Mutex extends LockMap {
  #owner: Task | undefined;
  readonly #queue: { readonly task: Task; readonly go: () => void }[] = [];

  constructor(lockdep: Lockdep, lockClass: LockClass) {
    super(lockdep, lockClass, WAIT_SLEEP);
  }

  /** The task that has it. */
  get owner(): Task | undefined {
    return this.#owner;
  }

  /** Resolves when `task` has the lock. */
  lock(task: Task, options?: AcquireOptions): Promise<void> {
    if (this.lockdep._plain && task.waiting === undefined && this.#owner === undefined) {
      this.#owner = task;
      return DONE;
    }
    return this.#lock(task, this.lock, options);
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
    const next = this.#queue.shift();
    this.#owner = next?.task;
    next?.go();
  }

  /** Runs `body` with the lock. */
  async run<T>(task: Task, body: () => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    await this.#lock(task, this.run, options);
    try {
      return await body();
    } finally {
      this.unlock(task);
    }
  }

  #lock(task: Task, entry: Entry, options: AcquireOptions | undefined): Promise<void> {
    const before = this.lockdep._beforeAcquire?.(task, this);
    return before === undefined ? this.#take(task, entry, options) : this.#takeAfter(before, task, entry, options);
  }

  async #takeAfter(
    before: Promise<void>,
    task: Task,
    entry: Entry,
    options: AcquireOptions | undefined,
  ): Promise<void> {
    await before;
    await this.#take(task, entry, options);
  }

  #take(task: Task, entry: Entry, options: AcquireOptions | undefined): Promise<void> {
    this.lockdep._mayWait(task, this);
    if (this.lockdep.active) this._acquire(task, EXCLUSIVE, false, entry, options);
    if (this.#owner === undefined) {
      this.#owner = task;
      return DONE;
    }
    return new Promise((resolve) => {
      const go = (): void => {
        task.waiting = undefined;
        resolve();
      };
      this.#queue.push({ task, go });
      this.lockdep._wait(task, this, "exclusive", entry);
    });
  }

  override _holders(): readonly Task[] {
    return this.#owner === undefined ? [] : [this.#owner];
  }

  /** @internal The owner and whoever came before `waiter`. */
  override _blockers(waiter: Task): readonly Task[] {
    const ahead = this.#queue.findIndex(({ task }) => task === waiter);
    return [...this._holders(), ...this.#queue.slice(0, Math.max(ahead, 0)).map(({ task }) => task)];
  }
}

import { DONE } from "./done.js";
import { LockUsageError } from "./errors.js";
import type { LockClass } from "./lock-class.js";
import { type AcquireOptions, LockMap } from "./lock-map.js";
import type { Lockdep } from "./lockdep.js";
import { EXCLUSIVE, type Mode, SHARED, WAIT_SLEEP } from "./mode.js";
import { removeLast } from "./remove.js";
import type { Entry } from "./stack.js";
import type { Task } from "./task.js";

interface Waiter {
  readonly task: Task;
  readonly exclusive: boolean;
  readonly go: () => void;
}

/**
 * A lock that many tasks have shared or one exclusively. Fair: who comes later waits behind who waits already, so a waiting writer keeps new
 * readers out, and that is why taking it shared twice can deadlock and is reported.
 */
export class RwSemaphore extends LockMap {
  #writer: Task | undefined;
  readonly #readers: Task[] = [];
  readonly #queue: Waiter[] = [];

  constructor(lockdep: Lockdep, lockClass: LockClass) {
    super(lockdep, lockClass, WAIT_SLEEP);
  }

  /** Resolves when `task` has the lock shared. */
  downRead(task: Task, options?: AcquireOptions): Promise<void> {
    if (this.lockdep._plain && task.waiting === undefined && this.#writer === undefined && this.#queue.length === 0) {
      this.#readers.push(task);
      return DONE;
    }
    return this.#down(task, SHARED, this.downRead, options);
  }

  /** Resolves when `task` has the lock exclusively. */
  downWrite(task: Task, options?: AcquireOptions): Promise<void> {
    if (this.lockdep._plain && task.waiting === undefined && this.#writer === undefined && this.#readers.length === 0) {
      this.#writer = task;
      return DONE;
    }
    return this.#down(task, EXCLUSIVE, this.downWrite, options);
  }

  /** Takes the lock shared if no writer has it or waits for it; makes no dependency to it. */
  tryDownRead(task: Task): boolean {
    if (this.#writer !== undefined || this.#queue.length > 0) return false;
    if (this.lockdep.active) this._acquire(task, SHARED, true, this.tryDownRead, undefined);
    this.#readers.push(task);
    return true;
  }

  /** Takes the lock exclusively if nobody has it; makes no dependency to it. */
  tryDownWrite(task: Task): boolean {
    if (this.#writer !== undefined || this.#readers.length > 0) return false;
    if (this.lockdep.active) this._acquire(task, EXCLUSIVE, true, this.tryDownWrite, undefined);
    this.#writer = task;
    return true;
  }

  /** @throws LockUsageError if `task` does not have the lock shared. */
  upRead(task: Task): void {
    if (this.lockdep.active) this.lockdep._release(task, this, this.upRead);
    if (!removeLast(this.#readers, task)) throw this.#misuse(task, "shared");
    this.#wake();
  }

  /** @throws LockUsageError if `task` does not have the lock exclusively. */
  upWrite(task: Task): void {
    if (this.lockdep.active) this.lockdep._release(task, this, this.upWrite);
    if (this.#writer !== task) throw this.#misuse(task, "exclusively");
    this.#writer = undefined;
    this.#wake();
  }

  /** Turns an exclusive holder into a shared one without a gap. @throws LockUsageError if `task` does not have the lock exclusively. */
  downgradeWrite(task: Task): void {
    if (this.lockdep.active) this.lockdep._downgrade(task, this, SHARED, this.downgradeWrite);
    if (this.#writer !== task) throw this.#misuse(task, "exclusively");
    this.#writer = undefined;
    this.#readers.push(task);
    this.#wake();
  }

  /** Runs `body` with the lock shared. */
  async read<T>(task: Task, body: () => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    await this.#down(task, SHARED, this.read, options);
    try {
      return await body();
    } finally {
      this.upRead(task);
    }
  }

  /** Runs `body` with the lock exclusively. */
  async write<T>(task: Task, body: () => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    await this.#down(task, EXCLUSIVE, this.write, options);
    try {
      return await body();
    } finally {
      this.upWrite(task);
    }
  }

  #down(task: Task, mode: Mode, entry: Entry, options: AcquireOptions | undefined): Promise<void> {
    const before = this.lockdep._beforeAcquire?.(task, this);
    return before === undefined
      ? this.#take(task, mode, entry, options)
      : this.#takeAfter(before, task, mode, entry, options);
  }

  async #takeAfter(
    before: Promise<void>,
    task: Task,
    mode: Mode,
    entry: Entry,
    options: AcquireOptions | undefined,
  ): Promise<void> {
    await before;
    await this.#take(task, mode, entry, options);
  }

  #take(task: Task, mode: Mode, entry: Entry, options: AcquireOptions | undefined): Promise<void> {
    this.lockdep._mayWait(task, this);
    if (this.lockdep.active) this._acquire(task, mode, false, entry, options);
    const exclusive = mode === EXCLUSIVE;
    const free = this.#writer === undefined && (exclusive ? this.#readers.length === 0 : this.#queue.length === 0);
    if (!free) return this.#wait(task, exclusive, entry);
    if (exclusive) this.#writer = task;
    else this.#readers.push(task);
    return DONE;
  }

  #wait(task: Task, exclusive: boolean, entry: Entry): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        task.waiting = undefined;
        resolve();
      };
      this.#queue.push({ task, exclusive, go });
      this.lockdep._wait(task, this, exclusive ? "exclusive" : "shared", entry);
    });
  }

  /** Lets in the first of the queue, and with a reader all readers up to the next writer. */
  #wake(): void {
    for (let first = this.#queue[0]; first !== undefined && this.#writer === undefined; first = this.#queue[0]) {
      if (first.exclusive && this.#readers.length > 0) return;
      this.#queue.shift();
      if (first.exclusive) this.#writer = first.task;
      else this.#readers.push(first.task);
      first.go();
    }
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

  /** @internal Holders that keep the waiter out, and whom it has to let pass. */
  override _blockers(waiter: Task): readonly Task[] {
    const place = this.#queue.findIndex(({ task }) => task === waiter);
    const shared = this.#queue[place]?.exclusive === false;
    const ahead = this.#queue.slice(0, Math.max(place, 0)).filter(({ exclusive }) => exclusive || !shared);
    const holders = shared && this.#writer === undefined ? [] : this._holders();
    return [...holders, ...ahead.map(({ task }) => task)];
  }
}

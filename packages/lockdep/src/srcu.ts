import { DONE } from "./done.js";
import { LockUsageError } from "./errors.js";
import type { LockClass } from "./lock-class.js";
import { LockMap } from "./lock-map.js";
import type { Lockdep } from "./lockdep.js";
import { RECURSIVE, WAIT_UNCHECKED } from "./mode.js";
import { removeLast } from "./remove.js";
import type { Entry } from "./stack.js";
import type { Task } from "./task.js";

/** What a reader gets on entering, and gives back on leaving: the epoch it entered in, which is the time between two grace periods. */
export class SrcuToken {
  /** @internal Its readers. */
  readonly _readers: Task[] = [];
}

interface Synchronizer {
  readonly task: Task;
  readonly epochs: readonly SrcuToken[];
  readonly go: () => void;
}

/**
 * Sleepable read-copy-update (kernel: srcu_struct). Readers never wait and may await; `synchronize` waits until everybody who was reading when
 * it was called has left. What is published before it is seen by whoever enters after it.
 */
export class Srcu extends LockMap {
  #now = new SrcuToken();
  /** Epochs that are over and still have readers. */
  readonly #old = new Set<SrcuToken>();
  readonly #synchronizers: Synchronizer[] = [];

  constructor(lockdep: Lockdep, lockClass: LockClass) {
    super(lockdep, lockClass, WAIT_UNCHECKED);
  }

  readLock(task: Task): SrcuToken {
    return this.#enter(task, this.readLock);
  }

  /** @throws LockUsageError if `task` did not get `token` from this object, or gave it back already. */
  readUnlock(task: Task, token: SrcuToken): void {
    if (this.lockdep.active) this.lockdep._release(task, this, this.readUnlock);
    const ours = token === this.#now || this.#old.has(token);
    if (!ours || !removeLast(token._readers, task))
      throw new LockUsageError(
        "release",
        `${task} leaves ${this.lockdep.describe(this)} with a token it does not have`,
      );
    if (token === this.#now || token._readers.length > 0) return;
    this.#old.delete(token);
    this.#wake();
  }

  /** Runs `body` as a reader. */
  async read<T>(task: Task, body: () => T | Promise<T>): Promise<T> {
    const token = this.#enter(task, this.read);
    try {
      return await body();
    } finally {
      this.readUnlock(task, token);
    }
  }

  /** Resolves when every reader there is now has left. */
  synchronize(task: Task): Promise<void> {
    const before = this.lockdep._beforeAcquire?.(task, this);
    return before === undefined ? this.#synchronize(task) : before.then(() => this.#synchronize(task));
  }

  #synchronize(task: Task): Promise<void> {
    this.lockdep._mayWait(task, this);
    if (this.lockdep.active) this.lockdep._sync(task, this, this.synchronize);
    if (this.lockdep.active) this.lockdep._mightSleep(task, this.synchronize);
    if (this.#now._readers.length > 0) {
      this.#old.add(this.#now);
      this.#now = new SrcuToken();
    }
    if (this.#old.size === 0) return DONE;
    return new Promise((resolve) => {
      const go = (): void => {
        task.waiting = undefined;
        resolve();
      };
      this.#synchronizers.push({ task, epochs: [...this.#old], go });
      this.lockdep._wait(task, this, "grace period", this.synchronize);
    });
  }

  #enter(task: Task, entry: Entry): SrcuToken {
    if (this.lockdep.active) this._acquire(task, RECURSIVE, false, entry, undefined);
    this.#now._readers.push(task);
    return this.#now;
  }

  #wake(): void {
    for (const waiter of this.#synchronizers.splice(0)) {
      if (waiter.epochs.some((epoch) => this.#old.has(epoch))) this.#synchronizers.push(waiter);
      else waiter.go();
    }
  }

  override _holders(): readonly Task[] {
    return [...this.#old, this.#now].flatMap(({ _readers }) => _readers);
  }

  /** @internal The readers it waits for. */
  override _blockers(waiter: Task): readonly Task[] {
    const waits = this.#synchronizers.find(({ task }) => task === waiter);
    return waits?.epochs.flatMap(({ _readers }) => _readers) ?? [];
  }
}

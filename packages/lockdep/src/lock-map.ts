import { LockAssertionError } from "./errors.js";
import type { ClassNode } from "./graph.js";
import { type LockClass, MAX_SUBCLASSES } from "./lock-class.js";
import type { Lockdep } from "./lockdep.js";
import { EXCLUSIVE, type Mode, SHARED, type WaitType } from "./mode.js";
import type { Entry } from "./stack.js";
import type { Task } from "./task.js";

/** Annotations of an acquisition. */
export interface AcquireOptions {
  /** 0 to 7, default 0: a level of its own in the order, where locks of one class are nested by design (kernel: mutex_lock_nested). */
  readonly subclass?: number;
  /** A lock held that serializes all who take several locks of this class (kernel: mutex_lock_nest_lock). */
  readonly nest?: LockMap;
}

/**
 * What the validator knows of one lock, and the base of all locks here (kernel: lockdep_map). On its own it annotates something that behaves
 * like a lock without being one: a section entered, a completion waited for.
 */
export class LockMap {
  /** Number of the lock in its validator; what the reports print where the kernel has an address. */
  readonly id: number;
  /** @internal Nodes of the graph by subclass, once used. */
  readonly _nodes: (ClassNode | undefined)[] = [];

  constructor(
    readonly lockdep: Lockdep,
    readonly lockClass: LockClass,
    readonly wait: WaitType,
  ) {
    this.id = lockdep._nextLockId();
  }

  /** Enters without a lock to wait for. */
  acquireMap(task: Task, mode: Mode = EXCLUSIVE, options?: AcquireOptions): void {
    if (this.lockdep.active) this._acquire(task, mode, false, this.acquireMap, options);
  }

  releaseMap(task: Task): void {
    if (this.lockdep.active) this.lockdep._release(task, this, this.releaseMap);
  }

  /** Says that the caller may come to take the lock exclusively, whether it does this time or not (kernel: might_lock). */
  mightLock(task: Task, options?: AcquireOptions): void {
    if (this.lockdep.active) this._might(task, EXCLUSIVE, this.mightLock, options);
  }

  /** The same, shared (kernel: might_lock_read). */
  mightLockShared(task: Task, options?: AcquireOptions): void {
    if (this.lockdep.active) this._might(task, SHARED, this.mightLockShared, options);
  }

  /** @throws LockAssertionError if an active validator knows that `task` does not hold the lock (kernel: lockdep_assert_held). */
  assertHeld(task: Task): void {
    if (this.lockdep.active && this._modeHeld(task) === undefined)
      throw new LockAssertionError("held", `${task} must hold ${this.lockdep.describe(this)} here, and does not`);
  }

  /** @throws LockAssertionError if `task` does not hold the lock, or only shared (kernel: lockdep_assert_held_write). */
  assertHeldExclusive(task: Task): void {
    if (!this.lockdep.active) return;
    const mode = this._modeHeld(task);
    if (mode !== EXCLUSIVE)
      throw new LockAssertionError(
        "held-exclusive",
        `${task} must hold ${this.lockdep.describe(this)} exclusively here, and ${mode === undefined ? "does not hold it" : "holds it shared"}`,
      );
  }

  /** @throws LockAssertionError if `task` holds the lock (kernel: lockdep_assert_not_held). */
  assertNotHeld(task: Task): void {
    if (this.lockdep.active && this._modeHeld(task) !== undefined)
      throw new LockAssertionError("not-held", `${task} must not hold ${this.lockdep.describe(this)} here, and does`);
  }

  /** Says that the lock ceases to exist: reported if anybody holds it (kernel: mutex_destroy, debug_check_no_locks_freed). */
  destroy(task: Task): void {
    if (this.lockdep.active) this.lockdep._free(task, this, this.destroy);
  }

  /** @internal Tasks that keep `waiter` from getting what it waits for; only locks that can be waited for have any. */
  _blockers(_waiter: Task): readonly Task[] {
    return [];
  }

  /** @internal The tasks that hold it, as the lock itself knows. */
  _holders(): readonly Task[] {
    return [];
  }

  /** @internal */
  _acquire(task: Task, mode: Mode, trylock: boolean, entry: Entry, options: AcquireOptions | undefined): void {
    this.lockdep._acquire(task, this, mode, trylock, entry, options);
  }

  /** @internal How `task` holds the lock, newest first; undefined if it does not. */
  _modeHeld(task: Task): Mode | undefined {
    for (let k = task.held.length - 1; k >= 0; k--) {
      const held = task.held[k];
      if (held?.lock === this) return held.mode;
    }
    return undefined;
  }

  /** @internal */
  _might(task: Task, mode: Mode, entry: Entry, options: AcquireOptions | undefined): void {
    this._acquire(task, mode, false, entry, options);
    this.lockdep._release(task, this, entry);
  }

  /** @internal */
  _node(subclass: number): ClassNode {
    const known = this._nodes[subclass];
    if (known !== undefined) return known;
    if (!Number.isInteger(subclass) || subclass < 0 || subclass >= MAX_SUBCLASSES)
      throw new RangeError(`lock subclass ${subclass}: a class has subclasses 0 to ${MAX_SUBCLASSES - 1}`);
    const node = this.lockdep._register(this.lockClass, subclass, this.wait);
    this._nodes[subclass] = node;
    return node;
  }
}

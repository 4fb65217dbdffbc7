import type { Chain } from "./chain.js";
import type { ClassNode } from "./graph.js";
import type { LockMap } from "./lock-map.js";
import type { Lockdep } from "./lockdep.js";
import type { Mode } from "./mode.js";
import type { Stack } from "./stack.js";
import type { Wait } from "./wait-for.js";

/** A lock on a task's list. It is there from the attempt to take it, so a task that waits for a lock has it as its last entry. */
export interface HeldLock {
  readonly lock: LockMap;
  readonly node: ClassNode;
  mode: Mode;
  readonly trylock: boolean;
  readonly nest: LockMap | undefined;
  /** Where it was taken. */
  stack: Stack | undefined;
  /** Chain of the locks below it. */
  below: Chain;
  /** Whether dependencies lead to it from the locks below: not if a nest lock or a lock of its own class stood in for them. */
  linked: boolean;
}

/**
 * A logical thread: whoever can wait for a lock and hold it. JavaScript has no ambient current task that survives an await in every engine,
 * so every acquisition names its task. One task does one thing at a time; what runs concurrently gets tasks of its own.
 */
export class Task {
  /** Number in the reports; counts from 1 per validator unless given. */
  readonly pid: number;
  /** What the task holds, oldest first; kept by an active validator only. */
  readonly held: readonly HeldLock[] = [];
  /** What the task waits for at this moment; kept whether the validator is active or not. */
  waiting: Wait | undefined = undefined;
  /** @internal */
  _chain: Chain;
  /** @internal Spin-type locks it holds. */
  _spins = 0;
  /** @internal Whether the validator will look at `_spins` in the next microtask. */
  _watched = false;

  constructor(
    readonly lockdep: Lockdep,
    /** Name in the reports, like a kernel thread's comm. */
    readonly comm: string,
    pid?: number,
  ) {
    this.pid = pid ?? lockdep._nextPid();
    this._chain = lockdep._noLocks;
  }

  /** Says that the caller is about to await something: reported if it holds a spin-type lock (kernel: might_sleep). */
  mightSleep(): void {
    if (this.lockdep.active) this.lockdep._mightSleep(this, this.mightSleep);
  }

  /** Says that the task is over: reported if it still holds a lock (kernel: debug_check_no_locks_held). */
  exit(): void {
    if (this.lockdep.active) this.lockdep._exit(this, this.exit);
  }

  /** `comm/pid`, as it stands in every report. */
  toString(): string {
    return `${this.comm}/${this.pid}`;
  }
}

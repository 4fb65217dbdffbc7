import { Chain, chainKey } from "./chain.js";
import { LockdepError, LockUsageError } from "./errors.js";
import { ClassNode, EN, ER, SN, SR } from "./graph.js";
import type { LockClass } from "./lock-class.js";
import type { AcquireOptions, LockMap } from "./lock-map.js";
import { EXCLUSIVE, type Mode, spins, type WaitType } from "./mode.js";
import type { Report, ReportStyle } from "./report.js";
import * as reports from "./report.js";
import { sameClassConflict, validate } from "./rules.js";
import { captureStack, type Entry, type Stack } from "./stack.js";
import type { HeldLock, Task } from "./task.js";
import { type Deadlock, findDeadlock, type Wait } from "./wait-for.js";

export interface LockdepOptions {
  /** Whether to validate, default true. Without, locks lock and the wait-for graph works, and nothing else is done or kept. */
  readonly enabled?: boolean;
  /** Gets the one report a validator makes before it turns itself off; default prints it with console.warn. May throw ({@link throwReport}). */
  readonly onReport?: (report: Report) => void;
  /** Gets every deadlock that really happened, at the moment its last task began to wait; default prints it with console.warn. */
  readonly onDeadlock?: (deadlock: Deadlock) => void;
  /**
   * Called before every acquisition of a lock that can be waited for; a promise it returns is awaited first. With it a scheduler decides
   * who runs: everything else here continues by microtasks only, in an order fixed by the order of calls.
   */
  readonly beforeAcquire?: (task: Task, lock: LockMap) => Promise<void> | undefined;
  /** Where the caller of `entry` is; default asks the engine. */
  readonly captureStack?: (entry: Entry) => Stack;
  /**
   * Whether every acquisition records its stack. Default false: it is recorded when a sequence of held classes is new, and a held lock is
   * reported `at:` the place its sequence was first reached.
   */
  readonly everySite?: boolean;
  readonly style?: Partial<ReportStyle>;
}

/** A dependency of the graph, for dumps and tests. */
export interface Dependency {
  readonly from: string;
  readonly to: string;
  /** How `from` was held and `to` was taken: Exclusively, Shared; Recursively shared, Not so. */
  readonly kinds: readonly ("SR" | "ER" | "SN" | "EN")[];
}

/** An `onReport` that makes an exception of a report, thrown where the lock is about to be taken and before it is. */
export function throwReport(report: Report): void {
  throw new LockdepError(report);
}

/**
 * The validator: learns in which orders classes of locks are taken and reports the first acquisition that could deadlock, under whatever
 * timing. It also is what its locks share: tasks, numbers, the hook of a scheduler. Source: kernel/locking/lockdep.c.
 */
export class Lockdep {
  /** Whether acquisitions are validated now: as enabled, and until the first report (kernel: debug_locks). */
  active: boolean;
  /** What was reported: nothing or one report, and whatever else a handler that throws let through. */
  readonly reports: Report[] = [];
  /** @internal Whether an acquisition that need not wait is nothing but that: no validator, no hook. */
  _plain: boolean;
  /** @internal */
  readonly _beforeAcquire: LockdepOptions["beforeAcquire"];
  /** @internal The chain of a task that holds nothing. */
  readonly _noLocks = new Chain(true, undefined);
  readonly style: ReportStyle;

  readonly #nodes = new Map<LockClass, (ClassNode | undefined)[]>();
  readonly #versions = new Map<string, number>();
  readonly #versionOf = new Map<LockClass, number>();
  readonly #onReport: (report: Report) => void;
  readonly #onDeadlock: (deadlock: Deadlock) => void;
  readonly #capture: (entry: Entry) => Stack;
  readonly #enabled: boolean;
  readonly #everySite: boolean;
  /** Tasks that took a spin-type lock since the last microtask of ours. */
  #watched: Task[] = [];
  #nodeCount = 0;
  #chainCount = 0;
  #tasks = 0;
  #locks = 0;

  constructor(options: LockdepOptions = {}) {
    this.#enabled = options.enabled ?? true;
    this.active = this.#enabled;
    this.style = { ...reports.DEFAULT_STYLE, ...options.style };
    this._beforeAcquire = options.beforeAcquire;
    this._plain = !this.active && options.beforeAcquire === undefined;
    this.#onReport = options.onReport ?? ((report) => console.warn(report.text));
    this.#onDeadlock = options.onDeadlock ?? ((deadlock) => console.warn(deadlock.text));
    this.#capture = options.captureStack ?? captureStack;
    this.#everySite = options.everySite ?? false;
  }

  /** How much has been learnt: (class, subclass) pairs used, dependencies between them, sequences of held classes. */
  get stats(): { readonly classes: number; readonly dependencies: number; readonly chains: number } {
    let dependencies = 0;
    for (const node of this.#allNodes()) dependencies += node.after.length;
    return { classes: this.#nodeCount, dependencies, chains: this.#chainCount };
  }

  /** The dependencies learnt so far, in the order of first use of `from`. */
  dependencies(): Dependency[] {
    const kinds = [
      ["SR", SR],
      ["ER", ER],
      ["SN", SN],
      ["EN", EN],
    ] as const;
    return [...this.#allNodes()].flatMap((node) =>
      node.after.map((edge) => ({
        from: reports.className(edge.from),
        to: reports.className(edge.to),
        kinds: kinds.filter(([, bit]) => (edge.kinds & bit) !== 0).map(([kind]) => kind),
      })),
    );
  }

  /** Name of a lock in the reports: its class, and `#n` if other classes have the same name. */
  describe(lock: LockMap): string {
    const node = this.#nodes.get(lock.lockClass)?.find((known) => known !== undefined);
    return node === undefined ? lock.lockClass.name : reports.className(node);
  }

  /** @internal */
  _nextPid(): number {
    return ++this.#tasks;
  }

  /** @internal */
  _nextLockId(): number {
    return ++this.#locks;
  }

  /** @internal */
  _register(lockClass: LockClass, subclass: number, wait: WaitType): ClassNode {
    let nodes = this.#nodes.get(lockClass);
    if (nodes === undefined) {
      nodes = [];
      this.#nodes.set(lockClass, nodes);
      const version = (this.#versions.get(lockClass.name) ?? 0) + 1;
      this.#versions.set(lockClass.name, version);
      this.#versionOf.set(lockClass, version);
    }
    const known = nodes[subclass];
    if (known !== undefined) return known;
    const node = new ClassNode(this.#nodeCount++, lockClass, subclass, this.#versionOf.get(lockClass) ?? 1, wait);
    nodes[subclass] = node;
    return node;
  }

  /** @internal Validates that `task` takes `lock`, and puts it on the task's list. Called before any waiting. */
  _acquire(
    task: Task,
    lock: LockMap,
    mode: Mode,
    trylock: boolean,
    entry: Entry,
    options: AcquireOptions | undefined,
  ): void {
    if (task.lockdep !== this)
      throw new LockUsageError(
        "foreign",
        `${task} takes ${this.describe(lock)}, which belongs to another Lockdep than the task`,
      );
    const node = lock._node(options?.subclass ?? 0);
    const nest = options?.nest;
    const next: HeldLock = {
      lock,
      node,
      mode,
      trylock,
      nest,
      stack: this.#everySite ? this.#capture(entry) : undefined,
      below: task._chain,
      linked: true,
    };
    if (!this.#enter(task, next, entry)) return;
    (task.held as HeldLock[]).push(next);
    if (spins(node.wait)) this.#spinStarts(task);
  }

  /**
   * @internal Validates what takes part in the order without being held afterwards, such as waiting for a grace period
   * (kernel: lock_sync).
   */
  _sync(task: Task, lock: LockMap, entry: Entry): void {
    const stack = this.#everySite ? this.#capture(entry) : undefined;
    const node = lock._node(0);
    const next: HeldLock = {
      lock,
      node,
      mode: EXCLUSIVE,
      trylock: false,
      nest: undefined,
      stack,
      below: task._chain,
      linked: true,
    };
    const chain = task._chain;
    this.#enter(task, next, entry);
    task._chain = chain;
  }

  /** @internal Takes the newest entry of `lock` off the task's list. */
  _release(task: Task, lock: LockMap, entry: Entry): void {
    const list = task.held as HeldLock[];
    let k = list.length - 1;
    while (k >= 0 && list[k]?.lock !== lock) k--;
    const held = list[k];
    if (held === undefined) {
      this._report(reports.unlockBalance(task, lock, this.#capture(entry), this.style));
      return;
    }
    if (spins(held.node.wait)) task._spins--;
    task._chain = held.below;
    if (k === list.length - 1) {
      list.pop();
      return;
    }
    // Out of order: what was above now stands on what was below.
    const above = list.splice(k).slice(1);
    for (const other of above) {
      other.below = task._chain;
      if (!this.#enter(task, other, entry)) return;
      list.push(other);
    }
  }

  /** @internal An exclusive holder goes on as a shared one. */
  _downgrade(task: Task, lock: LockMap, mode: Mode, entry: Entry): void {
    const list = task.held as HeldLock[];
    const k = list.findLastIndex((held) => held.lock === lock);
    const changed = list[k];
    if (changed === undefined) {
      this._report(reports.unlockBalance(task, lock, this.#capture(entry), this.style));
      return;
    }
    changed.mode = mode;
    task._chain = changed.below;
    for (const other of list.splice(k)) {
      other.below = task._chain;
      if (!this.#enter(task, other, entry)) return;
      list.push(other);
    }
  }

  /** @internal */
  _free(task: Task, lock: LockMap, entry: Entry): void {
    const holders = lock._holders();
    if (holders.length > 0) this._report(reports.heldLockFreed(task, lock, holders, this.#capture(entry), this.style));
  }

  /** @internal */
  _exit(task: Task, entry: Entry): void {
    if (task.held.length > 0) this._report(reports.exitWithLocks(task, this.#capture(entry), this.style));
  }

  /** @internal */
  _mightSleep(task: Task, entry: Entry): void {
    if (task._spins > 0) this._report(reports.atomicSleep(task, this.#capture(entry), this.style));
  }

  /** @internal `task` begins to wait; the caller has queued it, so that the lock knows whom it waits for. */
  _wait(task: Task, lock: LockMap, how: Wait["how"], entry: Entry): void {
    task.waiting = { lock, how, stack: this.#enabled ? this.#capture(entry) : undefined };
    const deadlock = findDeadlock(task);
    if (deadlock !== undefined) this.#onDeadlock(deadlock);
  }

  /** @internal @throws LockUsageError if `task` waits already: it is used for two things at a time. */
  _mayWait(task: Task, lock: LockMap): void {
    if (task.waiting !== undefined)
      throw new LockUsageError(
        "waiting",
        `${task} takes ${this.describe(lock)} while it waits for ${this.describe(task.waiting.lock)}: what runs concurrently needs a task of its own`,
      );
  }

  /** @internal The only way to report; the validator is off from here on (kernel: debug_locks_off). */
  _report(report: Report): void {
    this.active = false;
    this._plain = this._beforeAcquire === undefined;
    this.reports.push(report);
    this.#onReport(report);
  }

  /** Moves `task` to the chain of `next` on top of what it holds; false if that had to be reported. */
  #enter(task: Task, next: HeldLock, entry: Entry): boolean {
    const { node, nest, mode } = next;
    if (nest !== undefined) {
      if (nest._modeHeld(task) === undefined) {
        next.stack ??= this.#capture(entry);
        this._report(reports.nestLockNotHeld(task, next, nest, this.style));
        return false;
      }
      const top = task.held.at(-1);
      if (top?.node === node && top.nest === nest) {
        // One more of a row: the first stands for all.
        next.linked = top.linked;
        next.stack ??= top.stack;
        return true;
      }
    }
    const key = chainKey(node.id, mode, next.trylock, nest !== undefined);
    const known = task._chain.next(key);
    if (known !== undefined) {
      next.linked = known.linked;
      next.stack ??= known.stack;
      task._chain = known;
      if (node.lockClass.order === undefined) return true;
      // The order of instances is no property of the chain.
      const conflict = sameClassConflict(task, next);
      if (conflict === undefined) return true;
      this._report(reports.recursive(task, next, conflict, this.style));
      return false;
    }
    next.stack ??= this.#capture(entry);
    const report = validate(task, next, this.style);
    if (report !== undefined) {
      this._report(report);
      return false;
    }
    task._chain = task._chain.grow(key, next.linked, next.stack);
    this.#chainCount++;
    return true;
  }

  *#allNodes(): Iterable<ClassNode> {
    for (const nodes of this.#nodes.values()) for (const node of nodes) if (node !== undefined) yield node;
  }

  #spinStarts(task: Task): void {
    task._spins++;
    if (task._watched) return;
    task._watched = true;
    this.#watched.push(task);
    if (this.#watched.length > 1) return;
    // Code that does not await is over before the next microtask: a spin-type lock still held then is held across an await.
    queueMicrotask(() => {
      const watched = this.#watched;
      this.#watched = [];
      for (const spinner of watched) {
        spinner._watched = false;
        if (this.active && spinner._spins > 0) this._report(reports.atomicSleep(spinner, undefined, this.style));
      }
    });
  }
}

import { Status } from "./status.js";

/** Shared: with others who share it. */
export type LockMode = "shared" | "exclusive";

/** A lock that nobody waits for: who cannot get it is told so and leaves. */
export interface Lock {
  /** SUCCESS, OPERAND_BUSY or (for guests) OPERAND_BUSY_HOST_PRIORITY; the lock is taken only with the first. */
  acquire(mode: LockMode, isGuest?: boolean): bigint;
  /** Gives back what {@link acquire} gave in the same mode. */
  release(mode: LockMode): void;
}

const EXCLUSIVE = 1;
const HOST_PRIORITY = 2;
const SHARED = 4;

/**
 * A lock of the TDX module in a word of 16 bits: many share it or one has it alone. With host priority, a host that could not get it is remembered, and guests are
 * turned away until a host has had the lock.
 * Source: TDX module base architecture specification, "Concurrency Restrictions and Enforcement", "Host-Priority Locks".
 */
export abstract class WordLock implements Lock {
  /** Bit 0 exclusive, bit 1 host priority, the rest counts who shares it. */
  protected abstract word: number;
  /** Whether the lock remembers a host that failed. */
  protected abstract readonly withHostPriority: boolean;

  /** Whether nobody has it. */
  get isFree(): boolean {
    return (this.word & ~HOST_PRIORITY) === 0;
  }

  /** A host call has failed since a host call had the lock. */
  get hostPriority(): boolean {
    return (this.word & HOST_PRIORITY) !== 0;
  }

  acquire(mode: LockMode, isGuest = false): bigint {
    const { word } = this;
    const busy = mode === "exclusive" ? !this.isFree : (word & EXCLUSIVE) !== 0;
    if (isGuest && this.hostPriority && (mode === "shared" || !busy)) return Status.OPERAND_BUSY_HOST_PRIORITY;
    if (busy) {
      if (!isGuest && this.withHostPriority) this.word = word | HOST_PRIORITY;
      return Status.OPERAND_BUSY;
    }
    this.word = (word & ~HOST_PRIORITY) + (mode === "exclusive" ? EXCLUSIVE : SHARED);
    return Status.SUCCESS;
  }

  release(mode: LockMode): void {
    this.word -= mode === "exclusive" ? EXCLUSIVE : SHARED;
  }
}

/** A lock with a word of its own. */
export class TryLock extends WordLock {
  protected word = 0;

  constructor(protected readonly withHostPriority = false) {
    super();
  }
}

/**
 * How a lock is held, numbered as the kernel's `held_lock.read`:
 * 0 exclusively; 1 shared, where a further reader may have to wait behind a queued writer (rwsem, queued rwlock);
 * 2 shared, where a further reader never waits for a waiting writer (RCU, SRCU, a recursive rwlock).
 */
export type Mode = 0 | 1 | 2;

export const EXCLUSIVE: Mode = 0;
export const SHARED: Mode = 1;
export const RECURSIVE: Mode = 2;

/**
 * How a lock waits (include/linux/lockdep_types.h, lockdep_wait_type): 0 is not checked, 1 never waits, 2 spins, 3 spins but for
 * PREEMPT_RT, 4 sleeps (awaits). `outer` is what the lock needs of the context it is taken in, `inner` what it leaves to those taken in it.
 */
export interface WaitType {
  readonly outer: number;
  readonly inner: number;
}

const same = (type: number): WaitType => ({ outer: type, inner: type });

/** Not checked: SRCU. */
export const WAIT_UNCHECKED = same(0);
/** raw_spinlock_t. */
export const WAIT_SPIN = same(2);
/** spinlock_t and rwlock_t. */
export const WAIT_CONFIG = same(3);
/** Mutexes and rw-semaphores: everything that awaits. */
export const WAIT_SLEEP = same(4);
/** Greater than any wait type: the context of a task that holds nothing. */
export const WAIT_ANY = 5;

/** Whether nothing may be awaited in the lock. */
export const spins = ({ inner }: WaitType): boolean => inner > 0 && inner < WAIT_SLEEP.inner;

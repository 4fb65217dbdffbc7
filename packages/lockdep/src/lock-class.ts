import type { LockMap } from "./lock-map.js";

/** Subclasses a class has, numbered from 0 (include/linux/lockdep_types.h, MAX_LOCKDEP_SUBCLASSES). */
export const MAX_SUBCLASSES = 8;

export interface LockClassOptions {
  /**
   * Orders two locks of this class: negative if holding `held` while `next` is taken is right, as with locks taken by rising index
   * (kernel: lockdep_set_lock_cmp_fn). Without it two locks of a class are only held together by subclass or nest lock.
   */
  readonly order?: (held: LockMap, next: LockMap) => number;
}

/**
 * What locks have in common that play the same role (kernel: lock_class_key with its name). Rules are learnt for classes, not for
 * instances, so one run through two of a million inodes says something about all of them. Make one per role, as a constant; classes are
 * equal only if they are the same object, and the reports tell classes of one name apart as `name`, `name#2`, ...
 */
export class LockClass {
  readonly order: ((held: LockMap, next: LockMap) => number) | undefined;

  constructor(
    readonly name: string,
    options: LockClassOptions = {},
  ) {
    this.order = options.order;
  }
}

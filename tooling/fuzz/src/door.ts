/** A place where what strangers made comes in: a ring, a file, a socket. One door, one file below `doors/`. */
export interface Door {
  /** What `--door` calls it: lower case, words joined by dashes. */
  readonly name: string;
  /** What comes in through it, half a sentence for `--help`. */
  readonly summary: string;
  /**
   * One case, a function of `seed` alone. Throws or rejects with what did not hold. How long the event loop was kept and whether
   * memory grows from case to case is watched by the runner, not here.
   */
  check(seed: number): void | Promise<void>;
}

/** A place where what strangers made comes in: a ring, a file, a socket. One door, one file below `doors/`. */
export interface Door {
  /** What `--door` calls it: lower case, words joined by dashes. */
  readonly name: string;
  /** What comes in through it, half a sentence for `--help`. */
  readonly summary: string;
  /** The check itself computes for longer than a turn of the event loop may take, so turns are not measured. */
  readonly computes?: true;
  /**
   * One case, a function of `seed` alone. Throws or rejects with what did not hold. How long the event loop was kept and whether
   * memory grows from case to case is watched by the runner, not here.
   * @param opened to be called when what comes before is done, if it is no matter of turns: they are measured from then on
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a case with nothing to tell returns nothing
  check(seed: number, opened: () => void): CaseReport | void | Promise<CaseReport | void>;
}

/** What a case has to tell beside that all held. */
export interface CaseReport {
  /** Added up over the cases, by what they count. */
  readonly sums?: Readonly<Record<string, number>>;
  /** Cases are counted by these words, a list for each key. */
  readonly kinds?: Readonly<Record<string, string>>;
}

/** Something that must hold did not: thrown by {@link Door.check}, `violation` in a word or two. */
export class Violation extends Error {
  override readonly name = "Violation";
  constructor(
    readonly violation: string,
    detail: string,
  ) {
    super(detail);
  }
}
